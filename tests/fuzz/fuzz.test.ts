import { assertEquals } from "@std/assert";
import * as encoding from "lib0/encoding";
import { awarenessFrame, poison, syncFrame } from "../sync/test_peer.ts";
import { deepUpdate } from "./frames.ts";
import { Chance } from "../sim/chance.ts";
import { fuzz } from "./fuzz.ts";
import { neverRead } from "./never_reads.ts";
import { Victims } from "./victims.ts";

const bytes = (base64: string) => Uint8Array.fromBase64(base64);

const numbers = (...all: number[]) =>
  encoding.encode((encoder) => all.forEach((each) => encoding.writeVarUint(encoder, each)));

/** Frames that did harm once, or were made to. */
const CORPUS: Record<string, Uint8Array> = {
  "awareness whose state is no UTF-8": bytes("AQgBAD8EynVsbA=="),
  "an edit that builds on its own future": syncFrame(2, poison()),
  "a deletion of nothing, beyond what is there": syncFrame(2, numbers(0, 1, 7, 1, 1_000, 0)),
  "a deletion that ends beyond all clocks": syncFrame(2, numbers(0, 1, 7, 1, 1, 2 ** 53 - 1)),
  "a gap as long as numbers go": syncFrame(2, numbers(1, 1, 7, 2 ** 52, 0, 2 ** 52, 0)),
  "a text of no letters": syncFrame(
    2,
    Uint8Array.from([1, 1, 7, 0, 4, 1, 4, 116, 101, 120, 116, 0, 0]),
  ),
  "2^53 structs that are not there": syncFrame(2, numbers(1, 2 ** 53 - 1, 7, 0)),
  "values nested 5,000 deep": syncFrame(2, deepUpdate(5_000)),
  "values nested 100,000 deep": syncFrame(2, deepUpdate(100_000)),
  "a state vector of 2^53 clients": syncFrame(0, numbers(2 ** 53 - 1)),
  "a state vector of 600 KB": syncFrame(0, new Uint8Array(600_000).fill(1)),
  "2^53 entries of awareness": awarenessFrame(numbers(2 ** 53 - 1)),
  "a varint that does not end": Uint8Array.from([0, 2, ...new Array(20).fill(255)]),
};

Deno.test("W7: no frame of the corpus harms who is in the room with its sender", async () => {
  const victims = new Victims();
  for (const [name, frame] of Object.entries(CORPUS)) {
    const what = await victims.take(frame) ?? await victims.check();
    if (what !== null && /took/.test(what)) continue; // which is for `deno task fuzz` to say
    assertEquals(what, null, name);
  }
});

Deno.test("W7: nor does any of ten thousand random ones, torn from real edits or built from parts", async () => {
  const { harms } = await fuzz(0, 20);
  assertEquals(harms.filter(({ what }) => !/took/.test(what)), []);
});

Deno.test("R30: peers that never read, and send whatever is answered, cost no more than their buffers", async () => {
  for (let seed = 0; seed < 2; seed++) {
    assertEquals(await neverRead(new Chance(seed)), null, `seed ${seed}`);
  }
});
