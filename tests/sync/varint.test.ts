import { assert, assertEquals, assertThrows } from "@std/assert";
import * as fc from "fast-check";
import { createDecoder } from "lib0/decoding";
import * as encoding from "lib0/encoding";
import * as Y from "yjs";
import { exportRooms, importRooms } from "../../src/cli/backup.ts";
import { placeOn } from "../../src/cli/place.ts";
import { Document, PoisonedError } from "../../src/sync/document.ts";
import { outline } from "../../src/sync/outline.ts";
import { MalformedUpdateError } from "../../src/sync/struct_reader.ts";
import { MalformedNumberError, readInt, readUint } from "../../src/sync/varint.ts";
import { realUpdate } from "../fuzz/frames.ts";
import { Chance } from "../sim/chance.ts";
import { awarenessFrame, TestPeer } from "./test_peer.ts";
import { settle, storedText, world } from "./world.ts";

const MAX = Number.MAX_SAFE_INTEGER;

const uint = (number: number) =>
  encoding.encode((encoder) => encoding.writeVarUint(encoder, number));
const int = (number: number) => encoding.encode((encoder) => encoding.writeVarInt(encoder, number));

/** Any number of bytes' worth, in lib0's encoding. */
function bigUint(number: bigint): number[] {
  const bytes: number[] = [];
  do {
    bytes.push(Number(number & 127n) | (number > 127n ? 128 : 0));
    number >>= 7n;
  } while (number > 0n);
  return bytes;
}

const zeros = (count: number) => new Array<number>(count).fill(0x80);

/** What no number may look like. lib0 reads most of these, some as Infinity or NaN. */
const BAD: Record<string, number[]> = {
  "2^53": bigUint(2n ** 53n),
  "2^53 + 1": bigUint(2n ** 53n + 1n),
  "2^56 - 1": bigUint(2n ** 56n - 1n),
  "2^63": bigUint(2n ** 63n),
  "2^64 - 1": bigUint(2n ** 64n - 1n),
  "Infinity": [...zeros(147), 1],
  "NaN": [...zeros(200), 1],
  "zero in two bytes": [0x80, 0],
  "one in two bytes": [0x81, 0],
  "no end": zeros(300),
};

/** Where numbers were rounded, or became something else. */
const EDGES = [2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 42, MAX - 1, MAX];

Deno.test("W8: every number up to 2^53 - 1 is read exactly, signed or not, and none above", () => {
  const number = fc.oneof(fc.maxSafeNat(), fc.constantFrom(...EDGES), fc.nat(300));
  fc.assert(fc.property(number, (number) => {
    assertEquals(readUint(createDecoder(uint(number))), number);
    assertEquals(readInt(createDecoder(int(number))), number);
    assertEquals(readInt(createDecoder(int(-number))), -number); // of 0, too
  }));
  const above = fc.bigInt({ min: 2n ** 53n, max: 2n ** 2_000n });
  fc.assert(fc.property(above, (number) => {
    assertThrows(
      () => readUint(createDecoder(Uint8Array.from(bigUint(number)))),
      MalformedNumberError,
    );
  }));
  for (const bytes of Object.values(BAD)) {
    const decoder = createDecoder(Uint8Array.from(bytes));
    assertThrows(() => readUint(decoder), MalformedNumberError);
  }
  assertThrows(() => readInt(createDecoder(Uint8Array.from([0xc0, 0]))), MalformedNumberError);
});

/** Encodes a number of a frame. */
type N = (number: number) => number[];

const text = [4, 116, 101, 120, 116]; // "text"

/** Frames of every kind, number by number. */
const FRAMES: Record<string, (n: N) => Uint8Array> = {
  "step 1": (n) => sync(n, 0, [...n(1), ...n(7), ...n(3)]),
  "a string": (n) =>
    update(n, [4, ...n(1), ...text, ...n(1), 120], [...n(1), ...n(7), ...n(1), ...n(0), ...n(1)]),
  "an item with neighbours": (n) =>
    update(n, [0xc4, ...n(7), ...n(0), ...n(7), ...n(1), ...n(1), 120]),
  "an item in a list": (n) => update(n, [8, ...n(0), ...n(7), ...n(0), ...n(1), 125, ...n(5)]),
  "GC": (n) => update(n, [0, ...n(1)]),
  "a gap": (n) => update(n, [10, ...n(1)]),
  "what was deleted": (n) => update(n, [1, ...n(1), ...text, ...n(1)]),
  "JSON": (n) => update(n, [2, ...n(1), ...text, ...n(1), ...n(1), 49]),
  "bytes": (n) => update(n, [3, ...n(1), ...text, ...n(2), 1, 2]),
  "an embed": (n) => update(n, [5, ...n(1), ...text, ...n(2), 123, 125]),
  "a format": (n) => update(n, [6, ...n(1), ...text, ...n(1), 98, ...n(1), 49]),
  "an element": (n) => update(n, [7, ...n(1), ...text, ...n(3), ...n(1), 112]),
  "values": (n) =>
    update(n, [
      8,
      ...n(1),
      ...text,
      ...n(4),
      119,
      ...n(1),
      97,
      118,
      ...n(1),
      ...n(1),
      98,
      126,
      117,
      ...n(1),
      120,
      116,
      ...n(1),
      9,
    ]),
  "a document": (n) => update(n, [9, ...n(1), ...text, ...n(1), 103, 118, ...n(0)]),
  "presence": (n) => {
    const entries = [...n(1), ...n(9), ...n(1), ...n(2), 123, 125];
    return Uint8Array.from([...n(1), ...n(entries.length), ...entries]);
  },
};

function sync(n: N, step: number, payload: number[]): Uint8Array {
  return Uint8Array.from([...n(0), ...n(step), ...n(payload.length), ...payload]);
}

function update(n: N, struct: number[], deletions = n(0)): Uint8Array {
  return sync(n, 2, [...n(1), ...n(1), ...n(7), ...n(0), ...struct, ...deletions]);
}

for (const [kind, build] of Object.entries(FRAMES)) {
  Deno.test(`W8: no number in a frame of ${kind} is above 2^53 - 1, or its sender goes alone`, async () => {
    let count = 0;
    build((number) => (count++, [...uint(number)]));
    const { store, rooms } = world();
    const alice = new TestPeer("did:a").join(rooms, "room");
    alice.text.insert(0, "hello");
    await settle();
    for (let place = 0; place < count; place++) {
      for (const [what, bad] of Object.entries(BAD)) {
        let at = 0;
        const frame = build((number) => at++ === place ? bad : [...uint(number)]);
        const mallory = new TestPeer("did:m").join(rooms, "room");
        mallory.sendRaw(frame);
        await settle();
        assertEquals(mallory.closed?.code, 4400, `${what} in place ${place}`);
      }
    }
    assertEquals(store.appended.length, 1);
    alice.text.insert(0, "still here, ");
    alice.probe(1);
    await settle();
    assertEquals(alice.heard.at(-1), "ack 1");
    assertEquals(await storedText(store, "room"), "still here, hello");
  });
}

Deno.test("W8: whatever replaces a number of a real update, all that comes of it has numbers up to 2^53 - 1", () => {
  const chance = new Chance(3);
  const numbers = [...Object.values(BAD), ...EDGES.map((edge) => [...uint(edge)])];
  const seen = { good: 0, bad: 0 };
  for (let n = 0; n < 60; n++) {
    const real = realUpdate(chance);
    for (let at = 0; at < real.length; at++) {
      let end = at;
      while (real[end]! > 127) end++;
      const spoilt = Uint8Array.from([
        ...real.slice(0, at),
        ...chance.pick(numbers),
        ...real.slice(end + 1),
      ]);
      try {
        outline(spoilt);
        const document = new Document();
        document.apply([spoilt]);
        document.dropPending();
        outline(document.state(), true);
        seen.good++;
      } catch (error) {
        if (!(error instanceof MalformedUpdateError || error instanceof PoisonedError)) throw error;
        seen.bad++;
      }
    }
  }
  assert(seen.good > 100 && seen.bad > 100, JSON.stringify(seen));
});

Deno.test("W8: client ids between 2^32 and 2^53 stay what they are", async () => {
  const { store, rooms } = world();
  const [alice, bob] = [new TestPeer("did:a"), new TestPeer("did:b")];
  alice.doc.clientID = MAX;
  for (const peer of [alice, bob]) peer.join(rooms, "room");
  await settle();
  alice.text.insert(0, "hello");
  alice.probe(1);
  await settle();
  assertEquals(alice.heard.at(-1), "ack 1");
  assertEquals(Y.encodeStateVector(bob.doc), Uint8Array.from([1, ...uint(MAX), 5]));
  assertEquals(await storedText(store, "room"), "hello");
});

Deno.test("W8: an imported file and what a store holds are read with the same care", async () => {
  const evil = update((n) => [...uint(n)], [0, 1], [1, ...BAD["Infinity"]!, 1, 0, 1]).slice(3);
  assertThrows(() => new Document().applyUnread([evil]), PoisonedError);
  using kv = await Deno.openKv(":memory:");
  using other = await Deno.openKv(":memory:");
  const [from, to] = [placeOn(kv), placeOn(other)];
  for (const room of ["good", "bad"]) await from.store.log(room).append(realUpdate(new Chance(1)));
  const folder = await Deno.makeTempDir();
  await Array.fromAsync(exportRooms(from, ["good", "bad"], folder, 0));
  const path = `${folder}/manifest.json`;
  const manifest = JSON.parse(await Deno.readTextFile(path));
  const entry = manifest.rooms.find(({ name }: { name: string }) => name === "bad");
  const sha256 = new Uint8Array(await crypto.subtle.digest("SHA-256", evil)).toHex();
  Object.assign(entry, { bytes: evil.length, sha256 });
  await Deno.writeFile(`${folder}/${entry.file}`, evil);
  await Deno.writeTextFile(path, JSON.stringify(manifest));
  const outcomes = await Array.fromAsync(importRooms(to, folder));
  assertEquals(outcomes.filter(({ error }) => error).map(({ room }) => room), ["bad"]);
  assertEquals(await Array.fromAsync(to.store.rooms()), ["good"]);
  await Deno.remove(folder, { recursive: true });
});

Deno.test("W9: whatever clock an awareness state has, others are told it under one of ours", async () => {
  const { rooms } = world();
  const [mallory, bob] = [new TestPeer("did:m"), new TestPeer("did:b")];
  for (const peer of [mallory, bob]) peer.join(rooms, "room");
  bob.announce();
  await settle();
  for (const [n, clock] of [0, 1, 2 ** 32, MAX].entries()) {
    const state = new TextEncoder().encode(`{"n":${n}}`);
    mallory.sendRaw(
      awarenessFrame(Uint8Array.from([1, 7, ...uint(clock), state.length, ...state])),
    );
    await settle();
    assertEquals(bob.awareness.getStates().get(7)?.n, n);
    assert(bob.awareness.meta.get(7)!.clock < 2 ** 50);
  }
});
