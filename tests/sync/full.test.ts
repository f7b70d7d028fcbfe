import { assert, assertEquals } from "@std/assert";
import * as encoding from "lib0/encoding";
import * as Y from "yjs";
import { Document } from "../../src/sync/document.ts";
import { outline } from "../../src/sync/outline.ts";
import { FakeClock } from "../fake_clock.ts";
import { MemoryStore } from "./memory_store.ts";
import { TestPeer } from "./test_peer.ts";
import { roomsOn, settle } from "./world.ts";

/** An update of so many structs, each with these bytes, by clients from `client` on or by one. */
function structs(
  count: number,
  bytes: number[],
  { client = 1, each = false, clock = 0 } = {},
): Uint8Array {
  return encoding.encode((encoder) => {
    const write = (...numbers: number[]) =>
      numbers.forEach((number) => encoding.writeVarUint(encoder, number));
    write(each ? count : 1);
    for (let n = 0; n < count; n++) {
      if (each || n === 0) write(each ? 1 : count, client + n, clock);
      encoding.writeUint8Array(encoder, Uint8Array.from(bytes));
    }
    write(0);
  });
}

const GC = [0, 1];
const SUBDOCUMENT = [9, 1, 1, 100, 1, 103, 118, 0];

const comesToRest = async () => {
  for (let turns = 0; turns < 20; turns++) await settle();
};

Deno.test("R21: a document takes so many clients and no more, in words; those whom it has go on", async () => {
  const [store, clock] = [new MemoryStore(), new FakeClock()];
  const rooms = roomsOn(store, clock, {}, { documentClients: 10 });
  const [alice, bob, mallory] = ["a", "b", "m"].map((who) => new TestPeer(`did:${who}`));
  for (const peer of [alice, bob, mallory]) peer!.join(rooms, "room");
  await settle();
  alice!.text.insert(0, "alice");
  bob!.text.insert(0, "bob ");
  await settle();
  mallory!.sendUpdate(structs(9, GC, { each: true }));
  mallory!.probe(1);
  await comesToRest();
  assertEquals(mallory!.heard.filter((what) => /denied|ack/.test(what)), ["denied"]);
  const { length } = store.appended;
  mallory!.heard.length = 0;
  mallory!.join(rooms, "room"); // with a clean slate
  mallory!.sendUpdate(structs(8, GC, { each: true }));
  await comesToRest();
  assertEquals(store.appended.length, length + 1);
  mallory!.sendUpdate(structs(1, GC, { client: 99 }));
  mallory!.sendUpdate(structs(1, GC, { client: 3, clock: 1 }));
  alice!.text.insert(0, "also ");
  alice!.probe(2);
  await comesToRest();
  assertEquals(alice!.heard.at(-1), "ack 2");
  assertEquals(bob!.text.toString(), alice!.text.toString());
  const stored = new Document();
  for (const update of await store.log("room").pull()) stored.apply([update]);
  assertEquals(stored.clients, 10);
  assert(stored.covers({ client: 3, end: 2 }), "a client that was there could not go on");
  clock.advance(10_001);
  mallory!.sendUpdate(structs(1, GC, { client: 100 }));
  assertEquals(mallory!.closed?.code, 1009);
});

Deno.test("R21: a document that was stored with more clients is read, and written by those whom it has", async () => {
  const store = new MemoryStore();
  await store.log("room").append(structs(300, GC, { each: true }));
  const rooms = roomsOn(store, new FakeClock(), {}, { documentClients: 100 });
  const alice = new TestPeer("did:a").join(rooms, "room");
  await comesToRest();
  assertEquals(alice.doc.store.clients.size, 300);
  alice.sendUpdate(structs(1, GC, { client: 7, clock: 1 }));
  alice.probe(1);
  await comesToRest();
  assertEquals(alice.heard.at(-1), "ack 1");
  alice.text.insert(0, "new");
  await comesToRest();
  assertEquals(alice.heard.at(-1), "denied");
});

Deno.test("R22: a document takes so much memory and no more, in words, however few bytes it came in", async () => {
  const store = new MemoryStore();
  const rooms = roomsOn(store, new FakeClock(), {}, { documentMemory: 10_000_000 }, 512);
  const [alice, mallory] = [new TestPeer("did:a"), new TestPeer("did:m")];
  for (const peer of [alice, mallory]) peer.join(rooms, "room");
  mallory.send = (frame) => void mallory.heard.push(frame[0] === 2 ? "denied" : "");
  await settle();
  mallory.sendUpdate(structs(20_000, SUBDOCUMENT)); // 160 KB, which take 48 MB
  mallory.probe(1);
  while (!mallory.heard.includes("denied")) await settle();
  await comesToRest();
  assert(alice.doc.subdocs.size < 6_000, `${alice.doc.subdocs.size} documents`);
  alice.text.insert(0, "no");
  alice.probe(2);
  await comesToRest();
  assert(alice.heard.includes("denied") && !alice.heard.includes("ack 2"));
});

Deno.test("R22: what is typed letter by letter counts as what it has become", async () => {
  const store = new MemoryStore();
  const rooms = roomsOn(store, new FakeClock(), {}, { documentMemory: 300_000 });
  const alice = new TestPeer("did:a").join(rooms, "room");
  await settle();
  for (let n = 0; n < 3_000; n++) {
    alice.text.insert(n, "x");
    if (n % 10 === 0) await settle();
  }
  alice.probe(1);
  await comesToRest();
  assertEquals(alice.heard.at(-1), "ack 1");
  assert(!alice.heard.includes("denied"));
});

Deno.test("R22: the names of root types that were never written are not kept", () => {
  const document = new Document();
  const named = (name: string) =>
    structs(1, [4, 1, name.length, ...new TextEncoder().encode(name), 1, 120], { clock: 5 });
  const before = document.memory;
  for (let n = 0; n < 100; n++) document.apply([named(`root${n}`)]);
  document.dropPending();
  assertEquals(document.memory, before);
  const doc = new Y.Doc();
  doc.getText("text").insert(0, "x");
  document.apply([Y.encodeStateAsUpdate(doc)]);
  assert(document.memory > before);
});

Deno.test("R22: the memory of each kind of struct is not estimated at less than it is", () => {
  const root = [1, 1, 116];
  const kinds: Record<string, [number[], number]> = { // as measured: bytes of a heap for each
    "GC": [GC, 80],
    "string": [[4, ...root, 1, 120], 207],
    "JSON": [[2, ...root, 1, 2, 123, 125], 447],
    "binary": [[3, ...root, 0], 409],
    "embed": [[5, ...root, 2, 123, 125], 263],
    "format": [[6, ...root, 1, 98, 1, 49], 215],
    "type": [[7, ...root, 2], 658],
    "any": [[8, ...root, 1, 118, 0], 448],
    "100 objects": [[8, ...root, 100, ...new Array(100).fill([118, 0]).flat()], 9_600],
    "100 arrays of bytes": [[8, ...root, 100, ...new Array(100).fill([116, 0]).flat()], 14_418],
    "document": [SUBDOCUMENT, 2_337],
  };
  for (const [kind, [bytes, measured]] of Object.entries(kinds)) {
    const { memory } = outline(structs(1, bytes));
    assert(
      memory >= measured * 0.65 && memory <= measured * 2,
      `${kind}: ${memory} for ${measured}`,
    );
  }
});
