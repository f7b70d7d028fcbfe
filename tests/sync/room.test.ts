import { assert, assertEquals } from "@std/assert";
import * as Y from "yjs";
import { Rooms } from "../../src/sync/rooms.ts";
import { FakeClock } from "../fake_clock.ts";
import { syncFrame, TestPeer, updatesOf } from "./test_peer.ts";
import { gate, LINGER, settle, storedText, world } from "./world.ts";

Deno.test("R1: nobody is answered before the document is loaded", async () => {
  const { store, rooms } = world();
  new TestPeer("did:a").join(rooms, "room").text.insert(0, "stored");
  await settle();

  const other = new Rooms({ store, clock: new FakeClock(), linger: LINGER });
  const loading = gate(store, "pull");
  const peer = new TestPeer("did:b").join(other, "room");
  peer.probe(1);
  await settle();
  assertEquals(peer.heard, []);
  loading.open();
  await settle();
  assertEquals(peer.heard, ["step1", "step2", "ack 1"]);
  assertEquals(peer.text.toString(), "stored");
});

Deno.test("R2: an edit is neither seen nor acknowledged before it is durable", async () => {
  const { store, rooms } = world();
  const [alice, bob] = [new TestPeer("did:a"), new TestPeer("did:b")];
  for (const peer of [alice, bob]) peer.join(rooms, "room");
  await settle();
  const commit = gate(store, "append");
  alice.text.insert(0, "hello");
  alice.probe(7);
  await settle();
  const carol = new TestPeer("did:c").join(rooms, "room");
  await settle();
  assertEquals([alice, bob, carol].map(({ heard }) => heard.at(-1)), ["step2", "step2", undefined]);
  commit.open();
  await settle();
  assertEquals(alice.heard.at(-1), "ack 7");
  assertEquals([bob.text.toString(), carol.text.toString()], ["hello", "hello"]);
  assertEquals(await storedText(store, "room"), "hello");
});

Deno.test("R3: what arrives during a commit is one append and one update, and repeats are none", async () => {
  const { store, rooms } = world();
  const [alice, bob] = [new TestPeer("did:a"), new TestPeer("did:b")];
  for (const peer of [alice, bob]) peer.join(rooms, "room");
  await settle();
  const commit = gate(store, "append");
  alice.text.insert(0, "1");
  await settle();
  for (const key of "2345") alice.text.insert(alice.text.length, key);
  commit.open();
  await settle();
  assertEquals(store.appended.length, 2);
  assertEquals(bob.heard.slice(-2), ["update", "update"]);
  assertEquals(bob.text.toString(), "12345");

  alice.sendUpdate(Y.encodeStateAsUpdate(alice.doc));
  alice.probe(1);
  await settle();
  assertEquals(store.appended.length, 2, "a repetition was stored");
  assertEquals(alice.heard.at(-1), "ack 1");
  assertEquals(bob.heard.at(-1), "update");
});

Deno.test("R4: an update with a gap is asked for again, and acknowledged once the gap is filled", async () => {
  const { store, rooms } = world();
  const [alice, bob] = [new TestPeer("did:a"), new TestPeer("did:b")];
  for (const peer of [alice, bob]) peer.join(rooms, "room");
  await settle();
  const [first, second, third] = updatesOf(
    (text) => text.insert(0, "one "),
    (text) => text.insert(4, "two "),
    (text) => text.insert(8, "three"),
  );
  alice.heard.length = 0;
  alice.sendUpdate(second!);
  alice.probe(1);
  await settle();
  assertEquals(alice.heard, ["step1"], "it was acknowledged, or not asked for again");
  assertEquals(store.appended, []);
  alice.sendUpdate(third!);
  await settle();
  assertEquals(alice.heard, ["step1"], "the same question was asked twice");

  const carol = new TestPeer("did:c").join(rooms, "room");
  await settle();
  assertEquals(carol.text.toString(), "");
  alice.sendRaw(syncFrame(1, Y.mergeUpdates([first!, second!, third!])));
  await settle();
  assertEquals(alice.heard.at(-1), "ack 1");
  assertEquals([bob.text.toString(), carol.text.toString()], ["one two three", "one two three"]);
  assertEquals(await storedText(store, "room"), "one two three");
});

Deno.test("R4: a deletion of what the room does not know is a gap too", async () => {
  const { clock, rooms } = world();
  const [alice, bob] = [new TestPeer("did:a"), new TestPeer("did:b")];
  for (const peer of [alice, bob]) peer.join(rooms, "room");
  await settle();
  const [insertion, deletion] = updatesOf(
    (text) => text.insert(0, "gone"),
    (text) => text.delete(0, 4),
  );
  alice.sendUpdate(deletion!);
  alice.probe(1);
  await settle();
  bob.sendUpdate(insertion!);
  await settle();
  assert(!alice.heard.includes("ack 1"), "the deletion was lost and acknowledged");
  Y.applyUpdate(alice.doc, deletion!, alice);
  clock.advance(5_000);
  await settle();
  assertEquals(alice.heard.at(-1), "ack 1", "it was not asked again after somebody filled the gap");
  const carol = new TestPeer("did:c").join(rooms, "room");
  await settle();
  assertEquals(carol.text.toString(), "");
});

Deno.test("R5: a commit that fails is tried again, and nothing is said until it has succeeded", async () => {
  const { store, clock, rooms } = world();
  const [alice, bob] = [new TestPeer("did:a"), new TestPeer("did:b")];
  for (const peer of [alice, bob]) peer.join(rooms, "room");
  await settle();
  let failures = 3;
  store.before = (operation) => {
    if (operation === "append" && failures-- > 0) throw new Error("disk on fire");
  };
  alice.text.insert(0, "kept");
  alice.probe(1);
  for (let n = 0; n < 3; n++) {
    await settle();
    assertEquals([alice.heard.at(-1), bob.heard.at(-1)], ["step2", "step2"]);
    clock.advance(1_000);
  }
  await settle();
  assertEquals([alice.heard.at(-1), bob.text.toString()], ["ack 1", "kept"]);
});

Deno.test("R5: a commit that succeeded and reported failure changes nothing but the time", async () => {
  const { store, clock, rooms } = world();
  const [alice, bob] = [new TestPeer("did:a"), new TestPeer("did:b")];
  for (const peer of [alice, bob]) peer.join(rooms, "room");
  await settle();
  let failures = 1;
  store.after = () => {
    if (failures-- > 0) throw new Error("no answer");
  };
  alice.text.insert(0, "once");
  alice.probe(1);
  await settle();
  clock.advance(1_000);
  await settle();
  assertEquals([alice.heard.at(-1), bob.text.toString()], ["ack 1", "once"]);
  assertEquals(await storedText(store, "room"), "once");
});

Deno.test("R6: a store that keeps failing closes the room with 1013, and the peers bring their edits back", async () => {
  const { store, clock, rooms } = world();
  const [alice, bob, other] = ["a", "b", "c"].map((name) => new TestPeer(`did:${name}`));
  for (const peer of [alice!, bob!]) peer.join(rooms, "sick");
  other!.join(rooms, "well");
  await settle();
  store.before = (operation, room) => {
    if (operation === "append" && room === "sick") throw new Error("disk on fire");
  };
  alice!.text.insert(0, "not lost");
  alice!.probe(1);
  other!.text.insert(0, "fine");
  other!.probe(2);
  for (let n = 0; n < 20; n++) {
    await settle();
    clock.advance(1_000);
  }
  assertEquals([alice!.closed?.code, bob!.closed?.code], [1013, 1013]);
  assert(!alice!.heard.includes("ack 1"));
  assertEquals([other!.closed, other!.heard.includes("ack 2")], [null, true]);
  assertEquals(bob!.text.toString(), "");

  store.before = () => {};
  bob!.join(rooms, "sick");
  await settle();
  assertEquals(bob!.text.toString(), "", "an edit was visible that nobody stored");
  alice!.join(rooms, "sick");
  await settle();
  assertEquals(bob!.text.toString(), "not lost");
});

Deno.test("R7: a room that cannot be loaded closes with 1013 and writes nothing", async () => {
  const { store, rooms } = world();
  store.before = (operation) => {
    if (operation === "pull") throw new Error("no such table");
  };
  const alice = new TestPeer("did:a").join(rooms, "room");
  alice.text.insert(0, "early");
  alice.probe(1);
  await settle();
  assertEquals(alice.closed?.code, 1013);
  assertEquals(alice.heard, []);
  assertEquals(store.appended, []);
  store.before = () => {};
  alice.join(rooms, "room");
  await settle();
  assertEquals(await storedText(store, "room"), "early");
});

Deno.test("R7: a log with a gap is not served, and not written to", async () => {
  const { store, rooms } = world();
  const [first, second] = updatesOf(
    (text) => text.insert(0, "one "),
    (text) => text.insert(4, "two"),
  );
  await store.log("room").append(second!);
  const alice = new TestPeer("did:a");
  alice.sendUpdate(first!);
  alice.join(rooms, "room");
  await settle();
  assertEquals([alice.closed?.code, alice.heard, store.appended.length], [1013, [], 1]);
});

Deno.test("R8: a room stays in memory for a while after its last peer, and then leaves it", async () => {
  const { clock, rooms } = world();
  const alice = new TestPeer("did:a").join(rooms, "room");
  await settle();
  alice.leave();
  clock.advance(LINGER - 1);
  assertEquals(rooms.size, 1);
  alice.join(rooms, "room");
  await settle();
  clock.advance(LINGER * 2);
  assertEquals(rooms.size, 1, "it left under its peer");
  alice.leave();
  clock.advance(LINGER);
  assertEquals(rooms.size, 0);
});

Deno.test("R8: a room does not leave memory before its last edit is durable", async () => {
  const { store, clock, rooms } = world();
  const alice = new TestPeer("did:a").join(rooms, "room");
  await settle();
  const commit = gate(store, "append");
  alice.text.insert(0, "last words");
  alice.leave();
  await settle();
  clock.advance(LINGER * 2);
  assertEquals(rooms.size, 1);
  commit.open();
  await settle();
  clock.advance(LINGER);
  assertEquals(rooms.size, 0);
  assertEquals(await storedText(store, "room"), "last words");
});

Deno.test("R9: a shutdown commits and acknowledges what has arrived, then closes with 1001", async () => {
  const { store, rooms } = world();
  const alice = new TestPeer("did:a").join(rooms, "room");
  await settle();
  const commit = gate(store, "append");
  alice.text.insert(0, "first ");
  await settle();
  alice.text.insert(6, "second");
  alice.probe(1);
  const down = rooms.shutDown(3_500);
  alice.text.insert(12, " too late");
  alice.probe(2);
  await settle();
  assertEquals(alice.closed, null);
  commit.open();
  await down;
  assertEquals(alice.closed?.code, 1001);
  assertEquals(alice.heard.at(-1), "ack 1");
  assertEquals(await storedText(store, "room"), "first second");
  assertEquals(new TestPeer("did:b").join(rooms, "room").closed?.code, 1001);
});

Deno.test("R9: a shutdown that the store does not let finish closes with 1013 in time", async () => {
  const { store, clock, rooms } = world();
  const alice = new TestPeer("did:a").join(rooms, "room");
  await settle();
  gate(store, "append");
  alice.text.insert(0, "stuck");
  alice.probe(1);
  const down = rooms.shutDown(3_500);
  await settle();
  clock.advance(3_500);
  await down;
  assertEquals(alice.closed?.code, 1013);
  assert(!alice.heard.includes("ack 1"));
});

Deno.test("R10: the log is folded into a snapshot as it grows, beside the edits", async () => {
  const { store, rooms } = world();
  const alice = new TestPeer("did:a").join(rooms, "room");
  await settle();
  const compaction = gate(store, "compact");
  for (let n = 0; n < 600; n++) {
    alice.text.insert(n, "x");
    await settle();
  }
  assertEquals(store.appended.length, 600, "edits waited for the compaction");
  compaction.open();
  await settle();
  const log = store.log("room");
  await log.pull();
  assert(log.size.snapshotBytes > 0);
  assert(log.size.entries < 300, `${log.size.entries} entries are left`);
  assertEquals(await storedText(store, "room"), "x".repeat(600));
});

Deno.test("R11: what another instance has stored is merged and shown when the room commits", async () => {
  const { store, clock, rooms } = world();
  const others = new Rooms({ store, clock, linger: LINGER });
  const [here, there] = [new TestPeer("did:a"), new TestPeer("did:b")];
  here.join(rooms, "room");
  there.join(others, "room");
  await settle();
  there.text.insert(0, "there ");
  await settle();
  here.text.insert(0, "here ");
  await settle();
  const text = here.text.toString();
  assertEquals([...text].sort(), [..."here there "].sort());
  assertEquals(await storedText(store, "room"), text);
});
