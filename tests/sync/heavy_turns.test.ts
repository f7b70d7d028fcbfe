import { assert, assertEquals } from "@std/assert";
import { HeavyTurns } from "../../src/sync/heavy_turns.ts";
import { FakeClock } from "../fake_clock.ts";
import { settle } from "./world.ts";

Deno.test("HP37: heavy work is done one piece at a time, in the order of asking, with turns for others in between", async () => {
  let pass = () => {};
  const turns = new HeavyTurns({
    turn: () => new Promise((resolve) => pass = resolve),
    uptime: () => 0,
    after: () => () => {},
  });
  const done: string[] = [];
  const work = async (room: string, pieces: number) => {
    for (let n = 0; n < pieces; n++) {
      await turns.turn();
      done.push(`${room}${n}`);
    }
  };
  const all = Promise.all([work("a", 3), work("b", 2), work("c", 1)]);
  const settled = () => new Promise((resolve) => setTimeout(resolve, 0));
  const seen: string[][] = [];
  for (let turn = 0; turn < 24; turn++) {
    await settled();
    seen.push(done.splice(0));
    pass();
  }
  await all;
  const pieces = seen.flat();
  assertEquals(pieces, ["a0", "b0", "c0", "a1", "b1", "a2"]);
  assert(seen.every((piece, n) => piece.length === (n % 4 === 0 ? 1 : 0)), JSON.stringify(seen));
  // Once nobody waits, the next is not kept waiting.
  await settled();
  await work("d", 1);
  assertEquals(done, ["d0"]);
});

Deno.test("R29: after heavy work that took long others come first for as long, if there is another room", async () => {
  for (const isShared of [true, false]) {
    const clock = new FakeClock();
    const turns = new HeavyTurns(clock, () => isShared);
    const done: string[] = [];
    const work = async (what: string, took: number) => {
      await turns.turn();
      clock.block(took);
      done.push(what);
    };
    const all = Promise.all([work("short", 4), work("long", 20), work("last", 1)]);
    await settle();
    assertEquals(done, isShared ? ["short", "long"] : ["short", "long", "last"]);
    clock.advance(19);
    await settle();
    assertEquals(done.length, isShared ? 2 : 3);
    clock.advance(1);
    await all;
  }
});
