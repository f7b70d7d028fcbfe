import { assertEquals } from "@std/assert";
import { Awareness } from "y-protocols/awareness";
import * as Y from "yjs";
import { ALICE, BOB } from "../http/service.ts";
import { startRealService, Window } from "./app.ts";

/** How a document's client id changes. */
const CHANGES: Record<string, (doc: Y.Doc) => void> = {
  "somebody else uses it": (doc) => {
    const other = new Y.Doc();
    other.clientID = doc.clientID;
    other.getText("other").insert(0, "x");
    Y.applyUpdate(doc, Y.encodeStateAsUpdate(other), "another provider");
  },
  "the document becomes a subdocument": (doc) => void new Y.Doc().getMap().set("child", doc),
  "the app sets it": (doc) => doc.clientID = 42,
};

for (const [how, change] of Object.entries(CHANGES)) {
  Deno.test(`J17: when a client id changes (${how}), who has it stays visible, once, and can leave`, async () => {
    await using it = await startRealService();
    using alice = await new Window(it.endpoint, "notes", ALICE).online();
    using bob = await new Window(it.endpoint, "notes", BOB).online();
    const { doc, awareness } = alice.provider;
    awareness.setLocalStateField("name", "Alice");
    await bob.until("peers", ({ peers }) => peers[0]?.state.name === "Alice");
    const before = doc.clientID;
    change(doc);
    assertEquals(doc.clientID === before, false);

    alice.text.insert(0, "hello");
    await bob.until("peers", ({ peers }) => peers.some(({ clientId }) => clientId !== before));
    await bob.until("peers", ({ peers }) => peers.length === 1);
    const [{ clientId, did, state }] = bob.provider.peers as [typeof bob.provider.peers[0]];
    assertEquals([clientId, did, state.name], [doc.clientID, ALICE, "Alice"]);
    assertEquals(awareness.clientID, doc.clientID);
    await bob.until("saved", () => bob.text.toString() === "hello" || true);

    change(doc);
    alice.provider.disconnect();
    await bob.until("peers", ({ peers }) => peers.length === 0);
    alice.provider.connect();
    await bob.until("peers", ({ peers }) => peers[0]?.clientId === doc.clientID);
    change(doc);
    alice.provider.destroy();
    await bob.until("peers", ({ peers }) => peers.length === 0);
  });
}

/** What may be going on when a provider is let go of. */
const STATES: Record<string, (window: Window, awareness: Awareness) => void> = {
  "the client id changed": ({ provider }) => provider.doc.clientID++,
  "the document was destroyed": ({ provider }) => provider.doc.destroy(),
  "the awareness was destroyed": (_, awareness) => awareness.destroy(),
  "nothing is known of the awareness": (_, awareness) => awareness.meta.clear(),
  "a listener of presence throws": (_, awareness) => {
    awareness.on("change", () => {
      throw new Error("a listener's fault");
    });
  },
  "a listener of updates of presence throws": (_, awareness) => {
    awareness.on("update", () => {
      throw new Error("a listener's fault");
    });
  },
  "it is disconnected already": ({ provider }) => provider.disconnect(),
};

for (const [how, happen] of Object.entries(STATES)) {
  Deno.test(`J17: disconnect() and destroy() never throw, and close the socket: ${how}`, async () => {
    await using it = await startRealService();
    for (const end of ["disconnect", "destroy"] as const) {
      const doc = new Y.Doc();
      const awareness = new Awareness(doc);
      const alice = await new Window(it.endpoint, "notes", ALICE, { doc, awareness }).online();
      using bob = await new Window(it.endpoint, "notes", BOB).online();
      await alice.until("peers", ({ peers }) => peers.length > 0);
      happen(alice, awareness);
      alice.provider[end]();
      await bob.until("peers", ({ peers }) => peers.length === 0);
      assertEquals(alice.provider.status, "offline");
      alice.provider.destroy();
      alice.provider.destroy();
      alice.provider.disconnect();
      clearInterval(awareness._checkInterval);
    }
  });
}
