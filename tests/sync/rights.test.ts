import { assert, assertEquals } from "@std/assert";
import { TestPeer } from "./test_peer.ts";
import { gate, settle, storedText, world } from "./world.ts";

Deno.test("G1: a reader reads, is seen, and its writes are refused in words, stored nowhere and not acknowledged", async () => {
  const { store, clock, rooms } = world();
  const alice = new TestPeer("did:a").join(rooms, "room");
  alice.text.insert(0, "hello");
  const reader = new TestPeer("did:r", "reader").join(rooms, "room");
  reader.awareness.setLocalState({ name: "reader" });
  reader.announce();
  reader.probe(1);
  await settle();
  clock.advance(200);
  await settle();
  assertEquals(reader.text.toString(), "hello");
  assert(alice.sees.includes("reader"));
  assert(reader.heard.includes("ack 1"), "it has written nothing");

  const before = store.appended.length;
  reader.text.insert(5, " world");
  reader.text.delete(0, 1);
  reader.probe(2);
  await settle();
  assertEquals(reader.heard.filter((what) => what === "denied").length, 1, "once is enough");
  assert(!reader.heard.includes("ack 2"));
  assertEquals([alice.text.toString(), await storedText(store, "room")], ["hello", "hello"]);
  assertEquals([store.appended.length, reader.closed], [before, null]);
});

Deno.test("G1: a reader is not asked for what it has, and an answer that says nothing is nothing", async () => {
  const { rooms } = world();
  const reader = new TestPeer("did:r", "reader").join(rooms, "room");
  await settle();
  assertEquals(reader.heard, ["step2"]);
  reader.sendRaw(new Uint8Array([0, 1, 2, 0, 0]));
  await settle();
  assertEquals(reader.heard, ["step2"]);
});

Deno.test("G1: what a reader sends is read with the same care as a writer's", async () => {
  const { rooms } = world();
  const reader = new TestPeer("did:r", "reader").join(rooms, "room");
  await settle();
  reader.sendRaw(new Uint8Array([0, 2, 3, 255, 255, 255]));
  assertEquals(reader.closed?.code, 4400);
});

Deno.test("G2: a reader that still writes 10 s after it was told is closed with 4403", async () => {
  const { clock, rooms } = world();
  const reader = new TestPeer("did:r", "reader").join(rooms, "room");
  await settle();
  reader.text.insert(0, "1");
  clock.advance(10_000);
  reader.text.insert(0, "2");
  assertEquals(reader.closed, null);
  clock.advance(1);
  reader.text.insert(0, "3");
  assertEquals(reader.closed?.code, 4403);
});

Deno.test("G3: a writer who becomes a reader: what is in a commit stays, what waits is refused", async () => {
  const { store, rooms } = world();
  const [alice, bob] = [new TestPeer("did:a"), new TestPeer("did:b")];
  for (const peer of [alice, bob]) peer.join(rooms, "room");
  await settle();
  const commit = gate(store, "append");
  bob.text.insert(0, "1");
  bob.probe(1);
  await settle();
  bob.text.insert(1, "2");
  bob.probe(2);
  bob.become("reader");
  bob.text.insert(2, "3");
  commit.open();
  await settle();
  assertEquals([alice.text.toString(), await storedText(store, "room")], ["1", "1"]);
  assertEquals(bob.heard.filter((what) => /role|denied/.test(what)), ["role reader", "denied"]);
  assertEquals(bob.heard.filter((what) => what.startsWith("ack")), []);
  assertEquals(bob.closed, null);
  alice.text.insert(1, "!");
  await settle();
  assertEquals(bob.text.toString().includes("!"), true, "it does not read on");
});

Deno.test("G3: a reader who becomes a writer is told, and brings up what it could not write", async () => {
  const { store, rooms } = world();
  const alice = new TestPeer("did:a").join(rooms, "room");
  const bob = new TestPeer("did:b", "reader").join(rooms, "room");
  await settle();
  bob.text.insert(0, "kept");
  bob.probe(1);
  await settle();
  bob.become("writer");
  await settle();
  assertEquals(bob.heard.slice(-3), ["role writer", "step1", "ack 1"]);
  assertEquals([alice.text.toString(), await storedText(store, "room")], ["kept", "kept"]);
});

Deno.test("G4: who loses all access is closed with 4403, and what waited of it is not written", async () => {
  const { store, rooms } = world();
  const [alice, bob] = [new TestPeer("did:a"), new TestPeer("did:b")];
  for (const peer of [alice, bob]) peer.join(rooms, "room");
  await settle();
  const commit = gate(store, "append");
  alice.text.insert(0, "a");
  await settle();
  bob.text.insert(0, "b");
  bob.become(null);
  commit.open();
  await settle();
  assertEquals(bob.closed?.code, 4403);
  assertEquals([alice.text.toString(), await storedText(store, "room")], ["a", "a"]);
});

Deno.test("G4: what somebody has left waiting is not written either, if it may not write when its turn comes", async () => {
  const { store, rooms } = world();
  const loading = gate(store, "pull");
  const [alice, bob] = [new TestPeer("did:a"), new TestPeer("did:b")];
  const seat = rooms.join("room", bob);
  bob.sit(seat);
  bob.text.insert(0, "b");
  let settled = false;
  seat.leave().then(() => settled = true);
  await settle();
  assertEquals(settled, false, "its edit waits still");
  seat.become("reader");
  alice.join(rooms, "room").text.insert(0, "a");
  loading.open();
  await settle();
  assertEquals(settled, true);
  assertEquals([alice.text.toString(), await storedText(store, "room")], ["a", "a"]);
});

Deno.test("G3: a reader that is made a writer while the room is being loaded harms nobody", async () => {
  const { store, clock, rooms } = world();
  const loading = gate(store, "pull");
  const bob = new TestPeer("did:b", "reader").join(rooms, "room");
  bob.text.insert(0, "kept");
  bob.become("writer");
  clock.advance(5_000);
  loading.open();
  await settle();
  assertEquals(await storedText(store, "room"), "kept");
});

Deno.test("G9: what is written waits till the role of its author is confirmed", async () => {
  const { store, rooms } = world();
  const premise = store.disk.touch(["access"]);
  const bob = new TestPeer("did:b", "writer", true).join(rooms, "room");
  bob.text.insert(0, "1");
  bob.probe(1);
  await settle();
  assertEquals([store.appended.length, bob.heard.includes("ack 1")], [0, false]);
  assert(bob.heard.includes("step2"), "what it may read does not wait");
  bob.become("writer", premise);
  await settle();
  assertEquals([await storedText(store, "room"), bob.heard.includes("ack 1")], ["1", true]);
});

Deno.test("G9: who loses the right to write while a commit is in flight writes nothing with it; others do", async () => {
  const { store, rooms } = world();
  const peers = ["did:a", "did:b"].map((did) => new TestPeer(did, "writer", true));
  const [alice, bob] = peers;
  for (const peer of peers) {
    peer.join(rooms, "room").become("writer", store.disk.premise(["access"]));
  }
  await settle();
  const commit = gate(store, "append");
  bob!.text.insert(0, "1");
  alice!.text.insert(0, "2");
  alice!.probe(1);
  await settle();
  const premise = store.disk.touch(["access"]);
  commit.open();
  await settle();
  assertEquals(store.appended.length, 0, "until it is known who may write now");
  alice!.become("writer", premise);
  bob!.become("reader", premise);
  await settle();
  assertEquals([alice!.text.toString(), await storedText(store, "room")], ["2", "2"]);
  assert(alice!.heard.includes("ack 1"));
  assertEquals(bob!.heard.filter((what) => /role|denied/.test(what)), ["role reader", "denied"]);
  assertEquals(bob!.text.toString().length, 2, "it keeps what it wrote");
});

Deno.test("G9: a change that takes nothing from whoever is writing costs no reading of the room", async () => {
  const { store, rooms } = world();
  const bob = new TestPeer("did:b", "writer", true).join(rooms, "room");
  bob.become("writer", store.disk.premise(["access"]));
  await settle();
  const { pulls } = store;
  const commit = gate(store, "append");
  bob.text.insert(0, "1");
  bob.probe(1);
  await settle();
  const premise = store.disk.touch(["access"]);
  commit.open();
  await settle();
  bob.become("writer", premise);
  await settle();
  assertEquals(store.pulls, pulls);
  assertEquals([await storedText(store, "room"), bob.heard.includes("ack 1")], ["1", true]);
});
