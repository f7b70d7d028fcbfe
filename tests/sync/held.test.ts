import { assert, assertEquals } from "@std/assert";
import * as encoding from "lib0/encoding";
import * as Y from "yjs";
import { FakeClock } from "../fake_clock.ts";
import { MemoryStore } from "./memory_store.ts";
import { syncFrame, TestPeer, updatesOf } from "./test_peer.ts";
import { gate, roomsOn, settle, storedText, world } from "./world.ts";

const KiB = 1024;

/** Deletes the first clock of so many clients. */
function deletionsOf(count: number): Uint8Array {
  return encoding.encode((encoder) => {
    for (const each of [0, count]) encoding.writeVarUint(encoder, each);
    for (let client = 1; client <= count; client++) {
      for (const each of [client, 1, 0, 1]) encoding.writeVarUint(encoder, each);
    }
  });
}

/** A peer that answers nothing by itself, and knows its seat. */
function silent(rooms: ReturnType<typeof roomsOn>) {
  const peer = new TestPeer("did:m");
  const heard: number[] = [];
  peer.send = (frame) => void heard.push(frame[1]!);
  const seat = rooms.join("room", peer);
  peer.sit(seat);
  return { peer, seat, heard };
}

Deno.test("R19: a peer whose messages wait may fill so much memory and no more, and the others go on", async () => {
  const store = new MemoryStore();
  const rooms = roomsOn(store, new FakeClock(), {}, { heldBytes: 100 * KiB });
  const alice = new TestPeer("did:a").join(rooms, "room");
  await settle();
  const { peer: mallory, seat } = silent(rooms);
  await settle();
  const commit = gate(store, "append");
  alice.text.insert(0, "alice");
  await settle();
  const [update] = updatesOf((text) => text.insert(0, "m".repeat(10 * KiB)));
  let sent = 0;
  for (; mallory.closed === null && sent < 100; sent++) {
    mallory.sendUpdate(update!);
    assert(seat.held <= 111 * KiB, `${seat.held} bytes are held`);
  }
  assertEquals(mallory.closed?.code, 1013);
  assertEquals(sent, 10, "one that is larger than what is left");
  alice.probe(1);
  commit.open();
  await settle();
  assertEquals(seat.held, 0);
  assertEquals(alice.heard.at(-1), "ack 1");
  assert((await storedText(store, "room")).includes("alice"));
});

Deno.test("R19: nothing is held any more once it is committed, read or refused, of small updates and of large", async () => {
  const { rooms } = world({}, { documentBytes: 2_000 });
  const { peer, seat } = silent(rooms);
  const doc = new Y.Doc();
  doc.on("update", (update: Uint8Array) => peer.sendUpdate(update));
  doc.getText("text").insert(0, "x".repeat(100 * KiB));
  assert(seat.held > 100 * KiB);
  await settle();
  assertEquals(seat.held, 0);
  doc.getText("text").insert(0, "refused: the document is full");
  await settle();
  assert(seat.held < KiB, `${seat.held} bytes are held`);
});

Deno.test("R19: more large updates at once than are read in advance are all taken, in their order", async () => {
  const { store, rooms } = world();
  const { peer, seat, heard } = silent(rooms);
  const letters = ["a", "b", "c"].map((letter) => letter.repeat(5 * KiB * KiB));
  const doc = new Y.Doc();
  doc.on("update", (update: Uint8Array) => peer.sendUpdate(update));
  for (const text of letters) doc.getText("text").insert(doc.getText("text").length, text);
  peer.probe(1);
  while (seat.held > 0 && peer.closed === null) await settle();
  assertEquals([peer.closed, heard.length], [null, 2]); // step 1, and the echo
  assert(await storedText(store, "room") === letters.join(""));
});

Deno.test("R20: a peer that sends what builds on 1,001 unknown clients is closed; on 1,000, it is asked", async () => {
  const { store, rooms } = world();
  for (const count of [1_000, 1_001, 90_000]) {
    const { peer, seat, heard } = silent(rooms);
    await settle();
    heard.length = 0;
    peer.sendUpdate(deletionsOf(count));
    for (let turns = 0; turns < 50; turns++) await settle();
    assertEquals(peer.closed?.code, count > 1_000 ? 1013 : undefined);
    if (count > 1_000) continue;
    assertEquals(heard, [0], "it was not asked with step 1");
    assertEquals(seat.held, 64_000);
    const held = seat.held;
    for (let n = 0; n < 100; n++) peer.sendRaw(syncFrame(1, Uint8Array.from([0, 0])));
    await settle();
    assertEquals([heard.length, seat.held, peer.closed], [1, held, null]);
  }
  assertEquals(store.appended, []);
});

Deno.test("R20: however fast the document changes, a peer with a gap is asked once a second", async () => {
  const { clock, rooms } = world();
  const alice = new TestPeer("did:a").join(rooms, "room");
  const { peer, heard } = silent(rooms);
  await settle();
  heard.length = 0;
  for (let n = 0; n < 50; n++) {
    alice.text.insert(0, "a");
    peer.sendUpdate(deletionsOf(10));
    await settle();
  }
  assertEquals(heard.filter((step) => step === 0).length, 1);
  clock.advance(5_000);
  await settle();
  assertEquals(heard.filter((step) => step === 0).length, 2);
});
