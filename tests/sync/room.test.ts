import { assert, assertEquals } from "@std/assert";
import { configure, reset } from "@logtape/logtape";
import * as Y from "yjs";
import { StoreDownError } from "../../src/store/errors.ts";
import { DamagedRoomError } from "../../src/store/room_store.ts";
import { FakeClock } from "../fake_clock.ts";
import { MemoryStore } from "./memory_store.ts";
import { poison, syncFrame, TestPeer, updatesOf } from "./test_peer.ts";
import { gate, LINGER, roomsOn, settle, storedText, world } from "./world.ts";

const MB = 1024 * 1024;

function textOf(update: Uint8Array): string {
  return Y.decodeUpdate(update).structs.map((struct) =>
    struct instanceof Y.Item && struct.content instanceof Y.ContentString ? struct.content.str : ""
  ).join("");
}

Deno.test("R1: nobody is answered before the document is loaded", async () => {
  const { store, rooms } = world();
  new TestPeer("did:a").join(rooms, "room").text.insert(0, "stored");
  await settle();

  const elsewhere = store.another();
  const other = roomsOn(elsewhere, new FakeClock());
  const loading = gate(elsewhere, "pull");
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

Deno.test("R17: who has not asked for the document is sent no updates of it", async () => {
  const { rooms } = world();
  const alice = new TestPeer("did:a").join(rooms, "room");
  const bob = new TestPeer("did:b");
  bob.sit(rooms.join("room", bob));
  await settle();
  alice.text.insert(0, "hello");
  await settle();
  assertEquals(bob.heard, ["step1"]);
  bob.askForAll();
  await settle();
  alice.text.insert(5, "!");
  await settle();
  assertEquals([bob.heard, bob.text.toString()], [["step1", "step2", "update"], "hello!"]);
});

Deno.test("R16: a damaged room is read once a minute, however many knock, and served once it is repaired", async () => {
  const { store, clock, rooms } = world();
  let [damaged, reads] = [true, 0];
  store.before = (operation, room) => {
    if (operation === "pull") reads++;
    if (damaged) throw new DamagedRoomError(room, "its snapshot");
  };
  const knock = async () => {
    const peer = new TestPeer("did:a").join(rooms, "room");
    await settle();
    return peer.closed?.code;
  };
  assertEquals([await knock(), reads], [1013, 1]);
  assert(rooms.isDamaged("room") && !rooms.isDamaged("another"));
  damaged = false;
  for (let n = 0; n < 3; n++) assertEquals([await knock(), reads], [1013, 1]);
  clock.advance(60_000);
  assertEquals([await knock(), rooms.isDamaged("room")], [undefined, false]);
  assertEquals(store.appended, []);
});

Deno.test("R16: a log that breaks the document is damage too", async () => {
  const { store, rooms } = world();
  await store.log("room").append(poison());
  const alice = new TestPeer("did:a").join(rooms, "room");
  await settle();
  assertEquals([alice.closed?.code, rooms.isDamaged("room")], [1013, true]);
});

Deno.test("R16: damage is reported once, by the room's name", async () => {
  const { store, clock, rooms } = world();
  let damaged = true;
  store.before = (_, room) => {
    if (damaged) throw new DamagedRoomError(room, "its snapshot");
  };
  const knock = async () => {
    const peer = new TestPeer("did:a").join(rooms, "the room");
    await settle();
    peer.leave();
    clock.advance(LINGER);
  };
  const reports: string[] = [];
  await configure({
    reset: true,
    sinks: { reports: ({ message }) => reports.push(message.join("")) },
    loggers: [
      { category: "tessera", sinks: ["reports"] },
      { category: ["logtape", "meta"], sinks: [] },
    ],
  });
  try {
    for (let n = 0; n < 5; n++) await knock();
    assertEquals(reports.length, 1, reports.join("\n"));
    damaged = false;
    await knock();
    damaged = true;
    await knock();
  } finally {
    await reset();
  }
  assertEquals(reports.length, 2, "damage after a repair is news");
  assert(
    reports[0]!.startsWith('room "the room" is damaged in the store: its snapshot.'),
    reports[0],
  );
});

Deno.test("R8: a room stays in memory for a while after its last peer, and then leaves it", async () => {
  const { store, clock, rooms } = world();
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
  assertEquals([rooms.size, store.watched], [0, 0]);
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

Deno.test("R9: rooms close one after the other, and those whose turn has not come go on", async () => {
  const { clock, rooms } = world();
  const peers = ["a", "b", "c", "d"].map((name) => new TestPeer(`did:${name}`).join(rooms, name));
  await settle();
  const down = rooms.shutDown(3_500, 1_000);
  for (const [n, peer] of peers.entries()) {
    await settle();
    assertEquals(
      peers.map(({ closed }) => closed?.code),
      peers.map((_, m) => m <= n ? 1001 : undefined),
    );
    const next = peers[n + 1];
    next?.text.insert(0, "still here");
    next?.probe(1);
    await settle();
    assert(next === undefined || next.heard.includes("ack 1"), peer.did);
    clock.advance(250);
  }
  await down;
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

Deno.test("R11: what another instance stores is merged and shown at once, to its own peers as to ours", async () => {
  const { store, clock, rooms } = world();
  const others = roomsOn(store.another(), clock);
  const [here, there] = [new TestPeer("did:a"), new TestPeer("did:b")];
  here.join(rooms, "room");
  there.join(others, "room");
  await settle();
  there.text.insert(0, "there ");
  await settle();
  assertEquals(here.text.toString(), "there ");
  here.text.insert(0, "here ");
  there.text.insert(6, "too");
  await settle();
  assertEquals([...here.text.toString()].sort(), [..."here there too"].sort());
  assertEquals(there.text.toString(), here.text.toString());
  assertEquals(await storedText(store, "room"), here.text.toString());
});

Deno.test("R11: what another instance stored while nobody was here is there for the next peer", async () => {
  const { store, clock, rooms } = world();
  const others = roomsOn(store.another(), clock);
  const [here, there] = [new TestPeer("did:a"), new TestPeer("did:b")];
  here.join(rooms, "room");
  there.join(others, "room");
  await settle();
  here.leave();
  const pulls = store.pulls;
  there.text.insert(0, "meanwhile");
  await settle();
  assertEquals(store.pulls, pulls, "it was read although nobody was here");
  here.join(rooms, "room");
  await settle();
  assertEquals(here.text.toString(), "meanwhile");
});

Deno.test("R12: a room that is deleted closes with 4404 everywhere, and nothing of it comes back", async () => {
  const { store, clock, rooms } = world();
  const others = roomsOn(store.another(), clock);
  const [here, there] = [new TestPeer("did:a"), new TestPeer("did:b")];
  here.join(rooms, "room").text.insert(0, "gone");
  there.join(others, "room");
  await settle();
  await store.delete("room");
  there.text.insert(0, "too late ");
  there.probe(1);
  await settle();
  assertEquals([here.closed?.code, there.closed?.code], [4404, 4404]);
  assert(!there.heard.includes("ack 1"));
  const bob = new TestPeer("did:b").join(rooms, "room");
  await settle();
  assertEquals([bob.text.toString(), bob.heard], ["", ["step1", "step2"]]);
});

Deno.test("R13: a peer whose buffer is full is sent nothing, and one difference once it has drained", async () => {
  const { clock, rooms } = world();
  const [alice, slow] = [new TestPeer("did:a"), new TestPeer("did:s")];
  for (const peer of [alice, slow]) peer.join(rooms, "room");
  await settle();
  slow.buffered = 2 * MB;
  for (let n = 0; n < 100; n++) {
    alice.text.insert(n, "x");
    await settle();
    clock.advance(100);
  }
  assertEquals(slow.heard.filter((what) => what === "update").length, 0, "its buffer grew");
  slow.buffered = 0;
  clock.advance(100);
  assertEquals(slow.heard.filter((what) => what === "update").length, 0);
  assertEquals(slow.heard.at(-1), "step2");
  assertEquals(slow.text.toString(), "x".repeat(100));
  alice.text.insert(100, "!");
  await settle();
  assertEquals(slow.heard.at(-1), "update", "it is not kept up to date again");
});

Deno.test("R13: a peer that takes nothing for 30 s is closed with 1013; one that is merely slow is not", async () => {
  const { clock, rooms } = world();
  const [alice, dead, slow] = ["a", "d", "s"].map((name) => new TestPeer(`did:${name}`));
  for (const peer of [alice!, dead!, slow!]) peer.join(rooms, "room");
  await settle();
  dead!.buffered = slow!.buffered = 60 * MB;
  alice!.text.insert(0, "x");
  await settle();
  for (let second = 0; second < 35; second++) {
    clock.advance(1_000);
    slow!.buffered -= MB;
  }
  assertEquals([dead!.closed?.code, slow!.closed], [1013, null]);
});

/** A peer whose network takes nothing: it counts what it is sent. */
class NeverReads extends TestPeer {
  override send(frame: Uint8Array): void {
    this.buffered += frame.length;
  }
}

/** Alice, and somebody who never reads, in a room where a hundred others are present. */
async function crowded() {
  const { store, clock, rooms } = world();
  for (let n = 0; n < 100; n++) {
    const other = new NeverReads(`did:${n}`).join(rooms, "room");
    other.awareness.setLocalState({ name: "x".repeat(200) });
    other.announce();
  }
  const alice = new TestPeer("did:a").join(rooms, "room");
  const mallory = new NeverReads("did:m").join(rooms, "room");
  await settle();
  clock.advance(200); // everyone is greeted
  await settle();
  return { store, clock, alice, mallory };
}

const GAPPED = updatesOf((text) => text.insert(0, "x"), (text) => text.insert(1, "y"))[1]!;
const FLOODS: Record<string, (mallory: TestPeer, n: number) => void> = {
  "questions who is there": (mallory) => mallory.queryAwareness(),
  "its own presence": (mallory, n) => {
    mallory.awareness.setLocalState({ n, picture: "x".repeat(3_000) });
    mallory.announce();
  },
  "step 1": (mallory) => mallory.askForAll(),
  "changes of its role": (mallory, n) => mallory.become(n % 2 === 0 ? "reader" : "writer"),
  "edits with a gap": (mallory, n) => {
    mallory.sendUpdate(GAPPED);
    mallory.text.insert(0, String(n));
  },
};

for (const [what, flood] of Object.entries(FLOODS)) {
  Deno.test(`R30: a peer that never reads costs no more than its buffer, whatever it sends: ${what}`, async () => {
    const { clock, alice, mallory } = await crowded();
    alice.text.insert(0, "x".repeat(500_000)); // so that a step 1 is answered with much
    await settle();
    for (let n = 0; n < 1_000 && mallory.closed === null; n++) {
      flood(mallory, n);
      if (n % 100 === 0) await settle();
    }
    assert(mallory.buffered < 1.7 * MB, `${mallory.buffered} bytes wait for it`);
    alice.probe(1);
    await alice.hears("ack 1");
    mallory.buffered = Math.max(mallory.buffered, 2 * MB);
    for (const n of [0, 1]) flood(mallory, n);
    await settle();
    clock.advance(31_000);
    assertEquals(mallory.closed?.code, 1013);
  });
}

Deno.test("R30: once its buffer has room a peer is sent the latest of all that it is owed", async () => {
  const { clock, rooms } = world();
  const [alice, slow] = [new TestPeer("did:a"), new TestPeer("did:s")];
  for (const peer of [alice, slow]) peer.join(rooms, "room");
  await settle();
  clock.advance(200); // everyone is greeted
  await settle();
  slow.buffered = 2 * MB;
  slow.heard.length = 0;
  for (const role of ["reader", "writer", "reader"] as const) slow.become(role);
  slow.text.insert(0, "x");
  slow.probe(1);
  slow.queryAwareness();
  alice.announce();
  await settle();
  assertEquals(slow.heard, []);
  slow.buffered = 0;
  clock.advance(100);
  await settle();
  assertEquals(slow.heard, ["role reader", "denied", "awareness"]);
});

Deno.test("R31: of many step 1 messages before one is answered, the last is", async () => {
  const { rooms } = world();
  const alice = new TestPeer("did:a").join(rooms, "room");
  alice.text.insert(0, "x");
  await settle();
  alice.heard.length = 0;
  for (let n = 0; n < 100; n++) alice.askForAll();
  await settle();
  assertEquals(alice.heard, ["step2"]);
});

Deno.test("R14: a large document goes out in pieces that apply on their own, at the peer's pace", async () => {
  const { clock, rooms } = world();
  const alice = new TestPeer("did:a").join(rooms, "room");
  for (let n = 0; n < 40; n++) alice.text.insert(0, String(n % 10).repeat(100_000));
  await settle();
  clock.advance(10_000); // what was encoded for alice is forgotten
  const slow = new TestPeer("did:s");
  let largest = 0;
  const send = slow.send.bind(slow);
  slow.send = (frame) => {
    largest = Math.max(largest, frame.length);
    slow.buffered += frame.length;
    send(frame);
    assertEquals(slow.doc.store.pendingStructs, null, "a piece needs a later one");
  };
  slow.join(rooms, "room");
  await settle();
  assert(slow.buffered < 2 * MB && largest < MB, `${slow.buffered} bytes were sent at once`);
  assert(!slow.heard.includes("step2"), "it was told that it is synced");
  alice.text.insert(0, "meanwhile ");
  await settle();
  for (let n = 0; n < 20; n++) {
    slow.buffered = 0;
    clock.advance(20);
    await settle();
  }
  assert(slow.heard.includes("step2"));
  assertEquals(slow.text.toString(), alice.text.toString());
});

Deno.test("R18: a large update is stored in slices, others' edits come through beside it, and it is acknowledged as one", async () => {
  const store = new MemoryStore();
  const rooms = roomsOn(store, new FakeClock(), {}, {}, 8);
  const [alice, bob] = ["a", "b"].map((name) => new TestPeer(`did:${name}`).join(rooms, "room"));
  await settle();
  const pasted = new Y.Doc();
  for (let n = 0; n < 30; n++) pasted.getText("text").insert(0, `${n} `);
  const commits: string[] = [];
  store.before = (operation) => {
    if (operation !== "append") return;
    commits.push(alice!.heard.includes("ack 1") ? "after" : "before");
    if (commits.length === 1) bob!.text.insert(0, "bob was here. ");
  };
  alice!.sendUpdate(Y.encodeStateAsUpdate(pasted));
  alice!.probe(1);
  await settle();
  assert(commits.length >= 30 / 4 && commits.every((when) => when === "before"), commits.join());
  const text = await storedText(store, "room");
  assert(text.includes(pasted.getText("text").toString()), text);
  const bobsTurn = store.appended.findIndex((update) => textOf(update).includes("bob"));
  assertEquals(bobsTurn, 1);
});

Deno.test("R18: an update that cannot be read in its last byte changes nothing, however large it is", async () => {
  const store = new MemoryStore();
  const rooms = roomsOn(store, new FakeClock(), {}, {}, 8);
  const alice = new TestPeer("did:a").join(rooms, "room");
  await settle();
  const pasted = new Y.Doc();
  for (let n = 0; n < 3_000; n++) pasted.getArray("words").insert(0, ["0123456789".repeat(20)]);
  alice.sendUpdate(Y.encodeStateAsUpdate(pasted).subarray(0, -1));
  await settle();
  assertEquals([alice.closed?.code, store.appended.length], [4400, 0]);
});

Deno.test("R18: of what breaks the document in its midst, the rest is forgotten", async () => {
  const store = new MemoryStore();
  const rooms = roomsOn(store, new FakeClock(), {}, {}, 2);
  const [alice, bob] = ["a", "b"].map((name) => new TestPeer(`did:${name}`).join(rooms, "room"));
  await settle();
  const pasted = new Y.Doc();
  pasted.clientID = 2 ** 31;
  for (let n = 0; n < 10; n++) pasted.getText("text").insert(0, `${n}`);
  alice!.sendUpdate(Y.mergeUpdates([poison(), Y.encodeStateAsUpdate(pasted)]));
  await settle();
  assertEquals(alice!.closed?.code, 4400);
  assertEquals(bob!.closed, null);
  bob!.text.insert(0, "go on");
  bob!.probe(1);
  await settle();
  assertEquals(bob!.heard.at(-1), "ack 1");
  assert((await storedText(store, "room")).includes("go on"));
});

Deno.test("R15: a crowd that comes to a large room shares one encoding, also while it is edited", async () => {
  const { clock, rooms } = world();
  const alice = new TestPeer("did:a").join(rooms, "room");
  for (let n = 0; n < 20; n++) alice.text.insert(0, String(n % 10).repeat(100_000));
  await settle();
  const frames = new Set<Uint8Array>();
  for (let n = 0; n < 10; n++) {
    const joiner = new TestPeer(`did:${n}`);
    const send = joiner.send.bind(joiner);
    joiner.send = (frame) => {
      if (frame.length > 100_000) frames.add(frame);
      send(frame);
    };
    joiner.join(rooms, "room");
    alice.text.insert(0, "!");
    await settle();
    clock.advance(20);
    await settle();
    assertEquals(joiner.text.toString(), alice.text.toString());
  }
  const bytes = [...frames].reduce((sum, { length }) => sum + length, 0);
  assert(bytes < 3 * MB, `${bytes} bytes were encoded for ten joiners of 2 MB`);
});

Deno.test("R12: what was deleted while a document is built anew is not gone on with", async () => {
  const { store, rooms } = world();
  const elsewhere = store.another();
  const [bob, mallory] = ["b", "m"].map((did) => new TestPeer(did).join(rooms, "room"));
  await settle();
  let pulls = 0;
  store.before = async (operation) => {
    if (operation === "pull" && ++pulls === 2) await elsewhere.log("room").append(written("x"));
    if (operation === "pull" && pulls === 3) await elsewhere.delete("room");
    if (operation === "append" && pulls === 2) await elsewhere.delete("room");
  };
  mallory!.sendRaw(syncFrame(2, poison()));
  await settle();
  bob!.text.insert(0, "after");
  await settle();
  assertEquals(bob!.closed?.code, 4404);
});

function written(text: string): Uint8Array {
  const doc = new Y.Doc();
  doc.getText("text").insert(0, text);
  return Y.encodeStateAsUpdate(doc);
}

Deno.test("S33: while the store can only be read, who writes is sent away, and everybody else reads on", async () => {
  const { store, rooms } = world();
  const [alice, bob, carol] = ["did:a", "did:b", "did:c"].map((did) => new TestPeer(did));
  for (const peer of [alice!, bob!]) peer.join(rooms, "room");
  alice!.text.insert(0, "stored");
  await settle();
  store.before = (operation) => {
    if (operation === "append") throw new StoreDownError("database or disk is full", "full");
  };
  alice!.text.insert(6, ", and not stored");
  alice!.probe(1);
  await settle();
  assertEquals((await alice!.isClosed()).code, 1013);
  assert(!alice!.heard.includes("ack 1"));
  carol!.join(rooms, "room");
  await settle();
  assertEquals([bob!, carol!].map(({ text }) => text.toString()), ["stored", "stored"]);
  bob!.probe(2);
  await settle();
  assertEquals(bob!.heard.at(-1), "ack 2");

  store.before = () => {};
  alice!.join(rooms, "room");
  await settle();
  assertEquals([bob!, carol!].map(({ text }) => text.toString()), [
    "stored, and not stored",
    "stored, and not stored",
  ]);
  assertEquals(await storedText(store, "room"), "stored, and not stored");
});

Deno.test("R32: what waits for all connections of a DID is bounded, whatever it is, and comes once there is room", async () => {
  const { clock, rooms } = world({}, { unsentBytesPerDid: 8 * MB });
  const alice = new TestPeer("did:a").join(rooms, "room");
  const mallory = Array.from({ length: 50 }, () => new NeverReads("did:m").join(rooms, "room"));
  for (const peer of mallory) peer.announce();
  await settle();
  const waiting = () => mallory.reduce((sum, { buffered }) => sum + buffered, 0);
  alice.text.insert(0, "x".repeat(3 * MB)); // one insertion is one frame, however large
  await settle();
  assert(waiting() < 8 * MB, `${waiting()} bytes wait: an update`);
  const late = Array.from({ length: 50 }, () => new NeverReads("did:m").join(rooms, "room"));
  mallory.push(...late);
  await settle();
  assert(waiting() < 12 * MB, `${waiting()} bytes wait: the document`);
  alice.probe(1);
  await alice.hears("ack 1");

  const bob = new TestPeer("did:m").join(rooms, "room");
  await settle();
  assertEquals(bob.text.length, 0);
  for (const peer of mallory) peer.leave();
  alice.text.insert(0, "y");
  for (let n = 0; n < 3; n++) {
    await settle();
    clock.advance(50);
  }
  assertEquals(bob.text.length, 3 * MB + 1);
});

/** A document of many small structs, as a store holds it. */
function manyMaps(count: number): Uint8Array {
  const doc = new Y.Doc();
  const list = doc.getArray("list");
  doc.transact(() => {
    for (let n = 0; n < count; n++) list.insert(0, [new Y.Map([["n", n]])]);
  });
  return Y.encodeStateAsUpdate(doc);
}

Deno.test("R14: a peer that is behind while the log is folded gets the rest afterwards", async () => {
  const { store, clock, rooms } = world();
  await store.log("room").append(manyMaps(20_000));
  const slow = new TestPeer("did:s");
  slow.buffered = 10 * MB;
  let isFolded = false;
  const turn = clock.turn.bind(clock);
  store.before = (operation) => {
    if (operation === "compact") isFolded = true;
  };
  clock.turn = () => {
    // The peer is asked for to be looked at again while others have their turn.
    if (slow.heard.length === 0 && !isFolded) clock.advance(20);
    return turn();
  };
  slow.join(rooms, "room");
  while (!isFolded) await settle();
  await settle();
  slow.buffered = 0;
  for (let n = 0; n < 100 && !slow.heard.includes("step2"); n++) {
    clock.advance(20);
    await settle();
  }
  assertEquals(slow.heard.at(-1), "step2");
});

Deno.test("R28: what is sent to those who are behind is made in turns, however many they are", async () => {
  const { store, clock, rooms } = world();
  await store.log("room").append(manyMaps(5_000));
  const peers = Array.from({ length: 8 }, (_, n) => new TestPeer(`did:${n}`));
  let now = 0;
  clock.uptime = () => now += 4;
  let sent = 0;
  for (const [n, peer] of peers.entries()) {
    const send = peer.send.bind(peer);
    peer.send = (frame) => {
      if (frame[0] === 0 && frame[1]! > 0) sent++;
      send(frame);
    };
    // Each has something else, so that no part is made for two of them.
    peer.doc.getMap("own").set("n", n);
    peer.join(rooms, "room");
  }
  let most = 0;
  for (let n = 0; n < 2_000 && peers.some(({ heard }) => !heard.includes("step2")); n++) {
    sent = 0;
    clock.advance(20);
    now += 20;
    await settle();
    most = Math.max(most, sent);
  }
  assert(peers.every(({ heard }) => heard.includes("step2")), "somebody waits for ever");
  assert(most <= 8, `${most} parts in one turn`);
});
