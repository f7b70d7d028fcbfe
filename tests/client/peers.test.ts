import { assertEquals } from "@std/assert";
import { ALICE, BOB } from "../http/service.ts";
import { startRealService, Window } from "./app.ts";

Deno.test("J9: who else is here is known by the DID that the service has proven, whatever they say", async () => {
  await using it = await startRealService();
  using alice = await new Window(it.endpoint, "notes", ALICE).online();
  using bob = await new Window(it.endpoint, "notes", BOB).online();
  bob.provider.awareness.setLocalState({ did: ALICE, name: "Alice, really" });
  await alice.until("peers", ({ peers }) => peers.some(({ state }) => state.name !== undefined));
  const { clientId, did, state } = alice.provider.peers[0]!;
  assertEquals([clientId, did, state.name], [bob.provider.doc.clientID, BOB, "Alice, really"]);
  await bob.until("peers", ({ peers }) => peers.length > 0);
  assertEquals(bob.provider.peers.map(({ did }) => did), [ALICE]);

  bob.provider.disconnect();
  assertEquals(bob.provider.peers, []);
  await alice.until("peers", ({ peers }) => peers.length === 0);
});
