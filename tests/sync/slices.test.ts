import { assert, assertEquals, assertThrows } from "@std/assert";
import * as fc from "fast-check";
import * as encoding from "lib0/encoding";
import * as Y from "yjs";
import { inParts } from "../../src/sync/deletion.ts";
import { Document } from "../../src/sync/document.ts";
import { extents, outline } from "../../src/sync/outline.ts";
import { Slices } from "../../src/sync/slices.ts";
import { MalformedUpdateError } from "../../src/sync/struct_reader.ts";
import { MalformedNumberError } from "../../src/sync/varint.ts";
import { builtUpdate, realUpdate } from "../fuzz/frames.ts";
import { Chance } from "../sim/chance.ts";
import { FakeClock } from "../fake_clock.ts";
import { apply, edit, meet, write } from "./edits.ts";
import { MemoryStore } from "./memory_store.ts";
import { syncFrame, TestPeer } from "./test_peer.ts";
import { roomsOn, settle } from "./world.ts";

/** Applies an update slice by slice, and returns how many there were. */
function applyInSlices(doc: Y.Doc, update: Uint8Array, weight: number): number {
  const slices = new Slices(outline(update), (deletion) => inParts(doc, deletion));
  let count = 0;
  while (!slices.done) {
    Y.applyUpdate(doc, slices.next(weight).update);
    assert(doc.store.pendingStructs === null && doc.store.pendingDs === null, "it has to wait");
    count++;
  }
  return count;
}

/** How Yjs itself reads an update, and how far it extends. */
function readByYjs(update: Uint8Array): Map<number, number> | null {
  try {
    const { structs, ds } = Y.decodeUpdate(update);
    const reach = new Map<number, number>();
    const extend = (client: number, end: number) =>
      reach.set(client, Math.max(end, reach.get(client) ?? 0));
    for (const struct of structs) {
      if (!(struct instanceof Y.Skip)) extend(struct.id.client, struct.id.clock + struct.length);
    }
    for (const [client, ranges] of ds.clients) {
      for (const { clock, len } of ranges) extend(client, clock + len);
    }
    return reach;
  } catch {
    return null;
  }
}

/** Changes a byte, or cuts the end off. */
function damaged(update: Uint8Array, chance: Chance): Uint8Array {
  const copy = update.slice();
  if (chance.once(3)) return copy.subarray(0, chance.below(copy.length));
  copy[chance.below(copy.length)] = chance.below(256);
  return copy;
}

Deno.test("R18: slices apply one after the other, whatever was written, and come to the same", () => {
  fc.assert(
    fc.property(
      fc.array(edit, { maxLength: 60 }),
      fc.array(edit, { maxLength: 30 }),
      fc.constantFrom(1, 3, 20),
      (before, after, weight) => {
        const docs = write(before);
        const [doc] = docs as [Y.Doc];
        for (const other of docs) meet(doc, other);
        const behind = new Y.Doc();
        Y.applyUpdate(behind, Y.encodeStateAsUpdate(doc));
        for (const edit of after) apply(docs, edit);
        for (const other of docs) meet(doc, other);

        for (const start of [behind, new Y.Doc()]) {
          applyInSlices(start, Y.encodeStateAsUpdate(doc, Y.encodeStateVector(start)), weight);
          assertEquals(Y.encodeStateVector(start), Y.encodeStateVector(doc));
          assertEquals(start.getText("text").toString(), doc.getText("text").toString());
          assertEquals(start.getMap("map").toJSON(), doc.getMap("map").toJSON());
          assert(Y.equalSnapshots(Y.snapshot(start), Y.snapshot(doc)));
        }
      },
    ),
    { numRuns: 300 },
  );
});

Deno.test("R18: an update is read as Yjs reads it: what cannot be read, and how far it extends", () => {
  const chance = new Chance(1);
  const seen = { good: 0, bad: 0 };
  for (let n = 0; n < 20_000; n++) {
    const real = chance.once(2) ? realUpdate(chance) : builtUpdate(chance);
    const update = chance.once(2) ? real : damaged(real, chance);
    const expected = readByYjs(update);
    try {
      const reach = new Map<number, number>();
      for (const { client, end } of extents(outline(update))) {
        reach.set(client, Math.max(end, reach.get(client) ?? 0));
      }
      assert(expected !== null, `Yjs cannot read ${update.toHex()}`);
      assertEquals(new Map([...reach].sort()), new Map([...expected].sort()), update.toHex());
      seen.good++;
    } catch (error) {
      if (!(error instanceof MalformedUpdateError)) throw error;
      const isStricter = error.message !== "the update cannot be read" ||
        error.cause instanceof MalformedNumberError;
      assert(isStricter || expected === null, `Yjs can read ${update.toHex()}`);
      seen.bad++;
    }
  }
  assert(seen.good > 5_000 && seen.bad > 5_000);
});

Deno.test("W7: an update by over 100,000 clients is malformed, and a document by as many is read back", () => {
  const byMany = encoding.encode((encoder) => {
    const count = 100_001;
    encoding.writeVarUint(encoder, count);
    for (let client = 1; client <= count; client++) {
      for (const each of [1, client, 0]) encoding.writeVarUint(encoder, each);
      encoding.writeUint8Array(encoder, Uint8Array.from([0, 1])); // what was deleted, one clock of it
    }
    encoding.writeVarUint(encoder, 0);
  });
  assertThrows(() => outline(byMany), MalformedUpdateError, "100000 clients");
  assertEquals(outline(byMany, true).blocks.size, 100_001);
});

Deno.test("R18: a deletion of much is cut, and also one that takes much along", () => {
  const doc = listOfMaps(500);
  const state = Y.encodeStateAsUpdate(doc);
  const client = doc.clientID;

  const onlyTheList = Uint8Array.from([0, 1, ...varint(client), 1, 0, 1]);
  doc.getMap("map").delete("list");
  const asYjsDoes = Y.encodeStateAsUpdate(doc, Y.encodeStateVector(doc));
  for (const deletion of [onlyTheList, asYjsDoes]) {
    const other = new Y.Doc();
    Y.applyUpdate(other, state);
    let most = 0;
    other.on("afterTransaction", ({ deleteSet }) => {
      const ranges = [...deleteSet.clients.values()].flat();
      most = Math.max(most, ranges.reduce((sum, { len }) => sum + len, 0));
    });
    assert(applyInSlices(other, deletion, 100) >= 10);
    assert(most < 200, `${most} in one go`);
    assertEquals(other.getMap("map").toJSON(), {});
    assert(Y.equalSnapshots(Y.snapshot(other), Y.snapshot(doc)));
  }
});

Deno.test("R18: nothing is left of a list of 20,000 that was deleted in slices, nor does it take for ever", () => {
  const doc = listOfMaps(20_000);
  const document = new Document();
  document.apply([Y.encodeStateAsUpdate(doc)]);
  doc.getMap("map").delete("list");
  const deletion = outline(Y.encodeStateAsUpdate(doc, Y.encodeStateVector(doc)));
  const slices = new Slices(deletion, (range) => document.deletion(range));
  while (!slices.done) document.apply([slices.next(1_000).update]);
  assert(document.state().length < 100);
});

Deno.test("R18: a circle, which Yjs never makes, comes to an end", () => {
  // Each of two clients' first letters stands behind the other's second.
  const letter = (client: number) => [0x84, ...varint(client), 1, 1, 120];
  const update = Uint8Array.from([
    ...[2, 2, 1, 0, ...letter(2), ...letter(2)],
    ...[2, 2, 0, ...letter(1), ...letter(1), 0],
  ]);
  const slices = new Slices(outline(update), (deletion) => inParts(new Y.Doc(), deletion));
  const doc = new Y.Doc();
  for (let n = 0; !slices.done; n++) {
    assert(n < 10);
    Y.applyUpdate(doc, slices.next(1).update);
  }
  assert(doc.store.pendingStructs !== null);
});

const varint = (number: number) =>
  encoding.encode((encoder) => encoding.writeVarUint(encoder, number));

/** A map with a list of so many maps, each written at its head. */
function listOfMaps(length: number): Y.Doc {
  const doc = new Y.Doc();
  const list = new Y.Array<Y.Map<unknown>>();
  doc.getMap("map").set("list", list);
  doc.transact(() => {
    for (let n = 0; n < length; n++) list.insert(0, [new Y.Map([["n", n]])]);
  });
  return doc;
}

Deno.test("R27: a change that takes long is left for later in its middle, and nothing of it is lost or acknowledged early", async () => {
  const clock = new FakeClock();
  let late = 0;
  clock.uptime = () => late += 4; // four looks at it, and it is time for others
  const store = new MemoryStore();
  const rooms = roomsOn(store, clock);
  const [alice, bob] = [new TestPeer("did:a"), new TestPeer("did:b")];
  for (const peer of [alice, bob]) peer.join(rooms, "room");
  for (let turns = 0; turns < 5; turns++) await settle();
  const large = listOfMaps(1_000);
  large.getMap("map").set("last", "word");
  alice.sendRaw(syncFrame(1, Y.encodeStateAsUpdate(large)));
  alice.probe(1);
  let begunAt: number | null = null;
  while (!alice.heard.includes("ack 1")) {
    await settle();
    if (begunAt === null && store.appended.length > 0) {
      begunAt = store.appended.length;
      bob.text.insert(0, "meanwhile");
      bob.probe(2);
    }
    const isAllThere = bob.doc.getMap("map").get("last") === "word";
    assert(isAllThere || !alice.heard.includes("ack 1"));
  }
  assert(store.appended.length > 10, `it took ${store.appended.length} commits`);
  while (!bob.heard.includes("ack 2")) await settle();
  assertEquals(bob.doc.getMap("map").toJSON(), large.getMap("map").toJSON());
  const stored = new Y.Doc();
  for (const update of await store.log("room").pull()) Y.applyUpdate(stored, update);
  assertEquals(stored.getMap("map").toJSON(), large.getMap("map").toJSON());

  const elsewhere = roomsOn(store.another(), clock);
  const carol = new TestPeer("did:c").join(elsewhere, "room");
  while (!carol.heard.includes("step2")) {
    clock.advance(0);
    await settle();
  }
  assertEquals(carol.doc.getMap("map").toJSON(), large.getMap("map").toJSON());
});
