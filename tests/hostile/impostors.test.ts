/** Who speaks in the place of somebody who is away, by an awareness id; and who comes back. */
import { assert, assertEquals } from "@std/assert";
import { TestPeer } from "../sync/test_peer.ts";
import { connectPeer } from "../outside/clients.ts";
import { dose, MALLORY, openSocket, roleOf, Target, within } from "./target.ts";

const ALICE = "did:plc:aliceaaaaaaaaaaaaaaaaaaa";
const BOB = "did:plc:bobbbbbbbbbbbbbbbbbbbbbb";
const ROOM = "private";

/** Alice as a client that comes and goes, with one document and its awareness. */
class Returning {
  readonly peer = new TestPeer(ALICE);

  async come(target: Target): Promise<void> {
    const socket = await openSocket(target, ROOM, ALICE);
    this.peer.closed = null;
    this.peer.joinOver(socket);
    this.peer.awareness.setLocalState({ name: "alice" });
    this.peer.announce();
  }
}

/** Resolves to whether a peer sees exactly these within some time. */
async function sees(peer: TestPeer, names: string[]): Promise<boolean> {
  const wanted = JSON.stringify(names);
  const matches = () => JSON.stringify(peer.sees.filter((name) => name !== undefined)) === wanted;
  return await within(
    3_000,
    new Promise<true>((resolve) => {
      const look = () => {
        if (!matches()) return;
        peer.awareness.off("update", look);
        resolve(true);
      };
      peer.awareness.on("update", look);
      look();
    }),
    false,
  );
}

Deno.test("HP20: an awareness id whose owner's connection dropped cannot be claimed by somebody else", async () => {
  await using target = await Target.start();
  await roleOf(target, BOB, ROOM);
  for (const member of [ALICE, MALLORY]) {
    await target.call("putMember", BOB, { room: ROOM, member, role: "writer" });
  }
  const bob = await connectPeer(target, BOB, ROOM);
  const alice = new Returning();
  await alice.come(target);
  assert(await sees(bob, ["alice"]));
  alice.peer.leave();
  assert(await sees(bob, []));
  const mallory = await connectPeer(target, MALLORY, ROOM);
  mallory.awareness.clientID = alice.peer.doc.clientID;
  mallory.awareness.setLocalState({ name: "mallory" });
  mallory.announce([alice.peer.doc.clientID]);
  mallory.probe(1);
  await mallory.hears("ack 1");
  await alice.come(target);
  const isSeen = await sees(bob, ["alice"]);
  console.log(`HP20 (B7): alice is ${isSeen ? "seen" : "not seen"} when she comes back`);
  assert(isSeen);
  for (const peer of [bob, mallory, alice.peer]) peer.leave();
});

Deno.test("HP21: a client is seen at once, however often it has come and gone, and the service restarted", async () => {
  const folder = await Deno.makeTempDir();
  const env = { KV_PATH: `${folder}/store.sqlite3`, ROOM_LINGER: "0s" };
  const alice = new Returning();
  const bob = new TestPeer(BOB);
  const unseen: string[] = [];
  const rounds = dose(2, 5);
  const departures = 7;
  for (let round = 0; round < rounds; round++) {
    await using target = await Target.start(env);
    await roleOf(target, BOB, ROOM);
    await target.call("putMember", BOB, { room: ROOM, member: ALICE, role: "writer" });
    bob.closed = null;
    bob.joinOver(await openSocket(target, ROOM, BOB));
    for (let n = 0; n < departures; n++) {
      await alice.come(target);
      if (!await sees(bob, ["alice"])) unseen.push(`return ${n} after restart ${round}`);
      alice.peer.leave();
      await sees(bob, []);
    }
    bob.leave();
  }
  console.log(`HP21 (B8): ${unseen.length} of ${rounds * departures} returns not seen: ${unseen}`);
  assertEquals(unseen, []);
  await Deno.remove(folder, { recursive: true });
});
