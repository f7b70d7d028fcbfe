import { assertEquals } from "@std/assert";
import * as Y from "yjs";
import { TesseraProvider } from "../../src/client/mod.ts";
import { ALICE, BOB } from "../http/service.ts";
import { startRealService, Window } from "./app.ts";
import { FakeWorld, settled, ticketFor } from "./fake_world.ts";

const PROBE = 102;

Deno.test("J8: what was typed is saved once it is on the service's disk, and not before", async () => {
  await using it = await startRealService();
  using alice = await new Window(it.endpoint, "notes", ALICE).online();
  using bob = await new Window(it.endpoint, "notes", BOB).online();
  const said: boolean[] = [];
  alice.provider.addEventListener("saved", () => said.push(alice.provider.hasUnsavedChanges));
  assertEquals(alice.provider.hasUnsavedChanges, false);

  const release = it.holdCommits();
  alice.text.insert(0, "hello");
  alice.provider.doc.transact(() => {
    alice.text.insert(5, " world");
    alice.text.insert(11, "!");
  });
  let isSaved = false;
  const saved = alice.provider.saved().then(() => isSaved = true);
  // What she says of herself comes after what she wrote: once Bob hears that, it has arrived.
  alice.provider.awareness.setLocalState({ name: "Alice" });
  await bob.until("peers", ({ peers }) => peers.some(({ state }) => state.name === "Alice"));
  assertEquals([isSaved, alice.provider.hasUnsavedChanges, bob.text.toString()], [false, true, ""]);

  release();
  await saved;
  assertEquals(said, [true, false]);
  await bob.reads("hello world!");
  assertEquals(bob.provider.hasUnsavedChanges, false);
});

Deno.test("J8: what was there before it connected is saved too", async () => {
  await using it = await startRealService();
  const doc = new Y.Doc();
  doc.getText("text").insert(0, "from before");
  using alice = new Window(it.endpoint, "notes", ALICE, { doc, connect: false });
  assertEquals(alice.provider.hasUnsavedChanges, true);
  const saved = alice.provider.saved();
  alice.text.insert(0, "and offline, ");
  alice.provider.connect();
  await saved;
  using bob = new Window(it.endpoint, "notes", BOB);
  await bob.reads("and offline, from before");
});

/** A provider with something unsaved, in a world of its own. */
function unsaved() {
  const world = new FakeWorld();
  const doc = new Y.Doc();
  const getTicket = () => Promise.resolve(ticketFor("notes", 1));
  const options = { endpoint: "https://sync.example.com", getTicket };
  const provider = new TesseraProvider("notes", doc, options, world);
  doc.getText("text").insert(0, "a");
  return {
    world,
    doc,
    provider,
    type: () => doc.getText("text").insert(0, "b"),
    /** Opens the latest line. */
    async open() {
      while (world.sockets.at(-1)?.readyState !== 0) await world.pass(500);
      const socket = world.sockets.at(-1)!.open();
      return {
        socket,
        /** The probes that came over it. */
        probes: () => socket.sent.filter(([type]) => type === PROBE),
      };
    },
    [Symbol.dispose]: () => doc.destroy(),
  };
}

Deno.test("J8: nothing counts as saved before the service has asked for what it lacks", async () => {
  using it = unsaved();
  const { socket, probes } = await it.open();
  socket.hear(0, 1, 2, 0, 0); // its document, which is empty
  it.type();
  await settled();
  assertEquals([it.provider.status, probes().length], ["online", 0]);
  socket.hear(0, 0, 1, 0); // "what do you have?"
  await settled();
  const kinds = socket.sent.filter(([type]) => type !== 1).map(([type, kind]) => `${type} ${kind}`);
  assertEquals(kinds, ["0 0", "0 2", "0 1", `${PROBE} 2`]);
  assertEquals(it.provider.hasUnsavedChanges, true);
  socket.hear(...probes()[0]!);
  assertEquals(it.provider.hasUnsavedChanges, false);
});

Deno.test("J8: an acknowledgement is of what came before its probe, on the same connection", async () => {
  using it = unsaved();
  const first = await it.open();
  first.socket.sync();
  await settled();
  it.type();
  it.type();
  await settled();
  assertEquals(first.probes().length, 1, "one at a time");
  first.socket.hear(...first.probes()[0]!);
  await settled();
  assertEquals([first.probes().length, it.provider.hasUnsavedChanges], [2, true]);
  first.socket.end(1001);

  const second = await it.open();
  second.socket.hear(...first.probes()[1]!); // what it was not asked
  assertEquals(it.provider.hasUnsavedChanges, true);
  second.socket.sync();
  await settled();
  second.socket.hear(...second.probes()[0]!);
  assertEquals([second.probes().length, it.provider.hasUnsavedChanges], [1, false]);
});

Deno.test("J8: what a reader types is not saved, and it is told; what it has only read is no matter", async () => {
  await using it = await startRealService({ policy: "members" });
  using alice = await new Window(it.endpoint, "notes", ALICE).online();
  alice.text.insert(0, "hello");
  await alice.provider.saved();
  const put = async (role: string) => {
    const answer = await it.callAs("/xrpc/com.example.sync.putMember", {
      ...{ did: ALICE, room: "notes", member: BOB, role },
    });
    assertEquals(answer.status, 200);
  };
  await put("reader");
  const doc = new Y.Doc();
  Y.applyUpdate(doc, Y.encodeStateAsUpdate(alice.provider.doc), "a database");
  using bob = await new Window(it.endpoint, "notes", BOB, { doc }).online();
  assertEquals([bob.provider.role, bob.provider.hasUnsavedChanges], ["reader", false]);

  bob.text.insert(5, " from Bob");
  const why = await bob.provider.saved().catch(({ name }) => name);
  assertEquals([why, bob.provider.hasUnsavedChanges], ["NotAllowed", true]);
  await bob.until("error", ({ error }) => error !== null);
  assertEquals(bob.provider.error?.message, "You may only read this room.");

  await put("writer");
  await bob.until("role", ({ role }) => role === "writer");
  await bob.provider.saved();
  await alice.reads("hello from Bob");
});

Deno.test("J25: edits that build on what nobody has sent are reported, and all others are saved", async () => {
  await using it = await startRealService();
  const lost = new Y.Doc();
  const updates: Uint8Array[] = [];
  lost.on("update", (update) => updates.push(update));
  lost.getText("text").insert(0, "a");
  lost.getText("text").insert(1, "b");
  const doc = new Y.Doc();
  Y.applyUpdate(doc, updates[1]!, "a database");
  doc.getText("text").insert(0, "x");
  using alice = new Window(it.endpoint, "notes", ALICE, { doc });
  await alice.provider.saved();
  await alice.online();
  await alice.until("error", ({ error }) => error !== null);
  const { status, error, hasUnsavedChanges } = alice.provider;
  assertEquals([status, error?.name, hasUnsavedChanges], ["online", "Incomplete", false]);
  alice.text.insert(0, "y");
  await alice.provider.saved();

  // Somebody has it after all: now all is there, for everybody, and saved.
  using bob = await new Window(it.endpoint, "notes", BOB).online();
  Y.applyUpdate(bob.provider.doc, updates[0]!);
  await alice.reads(doc.getText("text").toString());
  while (alice.text.length < 4) await new Promise((resolve) => doc.once("update", resolve));
  await alice.provider.saved();
  await bob.reads(alice.text.toString());
  await alice.until("saved", ({ error }) => error === null);
});
