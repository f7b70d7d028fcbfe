import { assert, assertEquals } from "@std/assert";
import * as Y from "yjs";
import { Document } from "../../src/sync/document.ts";
import { Parts } from "../../src/sync/parts.ts";
import { FakeClock } from "../fake_clock.ts";

const MB = 1024 * 1024;
const COUNT = 40;

/** A document of 40 MB, and a function to ask for the part of it from so many MB on. */
function world() {
  const author = new Y.Doc();
  // Single values, which are not cut.
  for (let n = 0; n < COUNT; n++) author.getArray("values").push([new Uint8Array(MB)]);
  const document = new Document();
  document.apply([Y.encodeStateAsUpdate(author)]);
  const clock = new FakeClock();
  const parts = new Parts(clock);
  const from = (n: number) =>
    parts.next(document, 1, Y.encodeStateVector(new Map([[author.clientID, n]])));
  return { clock, parts, from };
}

Deno.test("R15: a crowd of which each lacks something else keeps no more than 16 MiB of a room", () => {
  const { from } = world();
  const seats = Array.from({ length: COUNT }, (_, n) => n);
  const made = seats.map(from);
  // From the latest on, since whatever was forgotten is made again.
  const kept = seats.toReversed().filter((n) => from(n) === made[n]);
  assertEquals(kept, seats.toReversed().slice(0, 15), "16 of them are a little more than 16 MiB");
});

Deno.test("R15: what was made for one is kept 5 s for the next", () => {
  const { clock, parts, from } = world();
  const first = from(0);
  clock.advance(4_999);
  parts.forgetOld();
  assert(from(0) === first);
  clock.advance(1);
  parts.forgetOld();
  assert(from(0) !== first);
});

Deno.test("R14: a step 2 that was kept is none for who comes when there is more: theirs comes last", () => {
  const author = new Y.Doc();
  const document = new Document();
  author.on("update", (update) => document.apply([update]));
  const text = author.getText("text");
  text.insert(0, "x".repeat(50_000));
  const parts = new Parts(new FakeClock());
  const [SYNC, STEP_2, UPDATE] = [0, 1, 2];
  const first = parts.next(document, 1, Y.encodeStateVector(new Map()));
  assertEquals([...first.frame.slice(0, 2)], [SYNC, STEP_2]);

  text.insert(0, "since then ");
  const kept = parts.next(document, 2, Y.encodeStateVector(new Map()));
  assertEquals([...kept.frame.slice(0, 2), kept.completes], [SYNC, UPDATE, null]);
  assertEquals(kept.frame.slice(2), first.frame.slice(2));
  assert(parts.next(document, 2, Y.encodeStateVector(new Map())) === kept, "made once for a crowd");
  const rest = parts.next(document, 2, kept.reaches);
  assertEquals([...rest.frame.slice(0, 2), rest.completes], [SYNC, STEP_2, 2]);
});
