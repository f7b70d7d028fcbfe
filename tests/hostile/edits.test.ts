/** Who writes in the place of somebody who is away, by a Yjs client id. */
import { assertEquals } from "@std/assert";
import { applyUpdate, encodeStateAsUpdate, encodeStateVector } from "yjs";
import { TestPeer } from "../sync/test_peer.ts";
import { connectPeer } from "../outside/clients.ts";
import { MALLORY, openSocket, roleOf, Target, within } from "./target.ts";

const ALICE = "did:plc:aliceaaaaaaaaaaaaaaaaaaa";
const ROOM = "private";

Deno.test("HP18: an edit under a client id and clock that somebody else has used is not acknowledged", async () => {
  await using target = await Target.start();
  await roleOf(target, ALICE, ROOM);
  await target.call("putMember", ALICE, { room: ROOM, member: MALLORY, role: "writer" });
  const outcomes: string[] = [];
  // She sends the edit itself, as our client does; or she answers step 1, as every client does, and says
  // who she is.
  for (const way of ["update", "presence"] as const) {
    const alice = await connectPeer(target, ALICE, ROOM);
    await alice.hears("step2");
    const end = alice.text.length;
    alice.text.insert(end, "a");
    alice.probe(1);
    await alice.hears("ack 1");
    const clientId = alice.doc.clientID;
    const saved = encodeStateAsUpdate(alice.doc); // before her connection, which may still hear others, is closed
    alice.leave();

    // While she is offline, Mallory writes as her client.
    const mallory = await connectPeer(target, MALLORY, ROOM);
    await mallory.hears("step2");
    mallory.doc.clientID = clientId;
    mallory.text.insert(end + 1, "m");
    mallory.probe(2);
    await mallory.hears("ack 2");
    mallory.leave();

    // She comes back with an edit of her own, under the same clock.
    const back = new TestPeer(ALICE);
    applyUpdate(back.doc, saved, back);
    const before = encodeStateVector(back.doc);
    back.doc.clientID = clientId;
    back.text.insert(end + 1, "A");
    back.joinOver(await openSocket(target, ROOM, ALICE));
    if (way === "update") back.sendUpdate(encodeStateAsUpdate(back.doc, before));
    else {
      back.awareness.clientID = back.doc.clientID;
      back.awareness.setLocalState({ name: "alice" });
      back.announce();
    }
    await Promise.race([back.hears("step2"), back.isClosed()]);
    back.probe(3);
    const acknowledged = back.hears("ack 3").then(() => "acknowledged");
    const closed = back.isClosed().then(({ code }) => `closed with ${code}`);
    outcomes.push(await within(5_000, Promise.race([acknowledged, closed]), "nothing"));
    back.leave();
  }
  console.log(`HP18 (B5): her edit, as an update and in step 2, is ${outcomes}`);
  assertEquals(outcomes, ["closed with 4409", "closed with 4409"]);
});
