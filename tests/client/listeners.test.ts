import { assert, assertEquals, assertMatch } from "@std/assert";
import type { Provider, ProviderAwareness } from "npm:@lexical/yjs@^0.52.0";
import * as Y from "yjs";
import {
  devToken,
  ProviderError,
  TesseraProvider,
  withoutToken,
  withToken,
} from "../../src/client/mod.ts";
import { open, sharedToken, verify } from "../../src/mod.ts";
import { ALICE, BOB, DEV_TOKEN } from "../http/service.ts";
import { NAMES, startRealService, Window } from "./app.ts";
import { FakeWorld, settled, ticketFor } from "./fake_world.ts";

/** A provider in a world of its own. */
function alone(endpoint = "https://sync.example.com") {
  const world = new FakeWorld();
  const getTicket = () => Promise.resolve(ticketFor("notes", 1));
  const options = { endpoint, getTicket, connect: false };
  const provider = new TesseraProvider("notes", new Y.Doc(), options, world);
  return { world, provider, [Symbol.dispose]: () => provider.doc.destroy() };
}

Deno.test("J20: on() and off() speak as y-websocket does, as Lexical's Provider wants it", async () => {
  using it = alone();
  // Lexical has narrower types for presence than y-protocols, which it is used with.
  const provider: Omit<Provider, "awareness"> = it.provider;
  const awareness: Pick<ProviderAwareness, "setLocalState" | "setLocalStateField"> =
    it.provider.awareness;
  const said: unknown[] = [];
  const onStatus = ({ status }: { status: string }) => said.push(status);
  const onSync = (isSynced: boolean) => said.push(isSynced);
  provider.on("status", onStatus);
  provider.on("status", onStatus);
  provider.on("sync", onSync);
  provider.on("update", () => said.push("update"));
  provider.on("reload", () => said.push("reload"));
  it.provider.on("role", () => said.push(it.provider.role));
  await provider.connect();
  await settled();
  it.world.sockets[0]!.open().sync();
  awareness.setLocalStateField("name", "Alice");
  assertEquals(said, ["connecting", "writer", "connected", true]);
  it.world.sockets[0]!.end(4403);
  await settled();
  assertEquals(said.slice(4), [null, "disconnected", false]);
  provider.off("status", onStatus);
  provider.off("sync", onSync);
  provider.off("sync", () => {});
  provider.connect();
  provider.disconnect();
  assertEquals(said.length, 7);
});

Deno.test("J21: saved() rejects when it is told to stop waiting, and when nothing will be saved", async () => {
  using it = alone();
  const { provider, world } = it;
  provider.doc.getText("text").insert(0, "x");
  const name = (error: Error) => error.name;
  assertEquals(await provider.saved({ signal: AbortSignal.abort() }).catch(name), "AbortError");
  const stop = new AbortController();
  const stopped = provider.saved({ signal: stop.signal }).catch((reason) => reason);
  stop.abort("enough");
  assertEquals(await stopped, "enough");

  const denied = provider.saved().catch((error) => error);
  provider.connect();
  await settled();
  world.sockets[0]!.open().end(4403, "you were taken out");
  await settled();
  assert(await denied === provider.error);
  assertEquals(await provider.saved().catch((error) => error), provider.error);

  provider.connect();
  const destroyed = [provider.saved(), provider.saved({ signal: new AbortController().signal })];
  provider.destroy();
  for (const saved of destroyed) assertEquals(await saved.catch(name), "Destroyed");
  assertEquals(await provider.saved().catch(name), "Destroyed");
});

Deno.test("J21: a token that is wrong and never changes is denied, in words", async () => {
  await using shared = await startRealService({ devToken: undefined, auth: sharedToken("right") });
  await using it = await startRealService();
  for (
    const [endpoint, getTicket] of [
      [it.endpoint, devToken("wrong", ALICE, NAMES)],
      [shared.endpoint, withToken("wrong", NAMES)],
    ] as const
  ) {
    using alice = new Window(endpoint, "notes", ALICE, { getTicket });
    alice.text.insert(0, "x");
    const error = await alice.provider.saved().catch((error) => error);
    assert(error instanceof ProviderError);
    assertEquals([error.status, error.message], [401, "The service does not accept this token."]);
    assertEquals(alice.provider.status, "denied");
  }
});

Deno.test("J22: a service that is embedded with open, sharedToken or verify gives tickets, and says the role", async () => {
  const users: Record<string, string> = { "token-of-alice": ALICE };
  const ways = [
    [open(), withoutToken(BOB, NAMES), BOB],
    [open(), withoutToken(undefined, NAMES), "did:web:anyone.invalid"],
    [sharedToken("secret"), withToken("secret", NAMES), "did:web:anyone.invalid"],
    [
      verify((token) => users[token] === undefined ? null : { did: users[token] }),
      withToken(() => Promise.resolve("token-of-alice"), NAMES),
      ALICE,
    ],
  ] as const;
  for (const [auth, getTicket, did] of ways) {
    await using it = await startRealService({ auth, devToken: undefined });
    using alice = await new Window(it.endpoint, "notes", "", { getTicket }).online();
    assertEquals([alice.provider.did, alice.provider.role], [did, "writer"]);
  }
});

Deno.test("J23: whatever goes wrong, a user may read the message", async () => {
  const sentence = /^[A-Z"][^\n]{8,}[.!?]$/;
  const getTickets = [
    () => Promise.reject(new TypeError("Failed to fetch")),
    () => Promise.reject(new Error("undefined is not a function")),
    () => Promise.reject("x"),
    () => Promise.resolve(null as never),
    () => {
      throw new RangeError("oops");
    },
  ];
  for (const getTicket of getTickets) {
    const world = new FakeWorld();
    const options = { endpoint: "https://sync.example.com/tessera/", getTicket };
    const provider = new TesseraProvider("notes", new Y.Doc(), options, world);
    await world.pass(0);
    assertMatch(provider.error!.message, sentence);
    assertEquals(/fetch|undefined|oops/.test(provider.error!.message), false);
    assertEquals(
      world.warnings,
      [provider.error!.message],
      "a developer who does not listen is told",
    );
    provider.doc.destroy();
  }
  for (
    const code of [1000, 1001, 1005, 1006, 1009, 1011, 1013, 4400, 4401, 4403, 4404, 4408, 4429]
  ) {
    for (const reason of ["", "the service's own words"]) {
      using it = alone();
      it.provider.addEventListener("error", () => {});
      it.provider.connect();
      await settled();
      it.world.sockets[0]!.open().end(code, reason);
      await settled();
      assertMatch(it.provider.error!.message, sentence);
      assertEquals(it.world.warnings, []);
    }
  }
});

Deno.test("J23: the path of an endpoint is kept, for calls and for sockets", async () => {
  using it = alone("https://example.com/a/tessera//?x#y");
  it.provider.connect();
  await settled();
  assertEquals(it.world.sockets[0]!.url, "wss://example.com/a/tessera/sync/notes");
  const asked: string[] = [];
  const server = Deno.serve({ port: 0, onListen: () => {} }, ({ url }) => {
    asked.push(new URL(url).pathname);
    return Response.json({ error: "Enough", message: "No." }, { status: 400 });
  });
  const endpoint = `http://localhost:${server.addr.port}/a/tessera/`;
  using alice = new Window(endpoint, "notes", "", { getTicket: devToken(DEV_TOKEN, ALICE) });
  await alice.until("error", ({ error }) => error !== null);
  assertEquals(asked, ["/a/tessera/xrpc/chat.roomy.v0.sync.getTicket"]);
  await server.shutdown();
});
