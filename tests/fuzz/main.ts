/** Sends random frames to rooms: `deno task fuzz [--cases 1000000] [--seed 0]`. */
import { readArgs } from "../../src/cli/args.ts";
import { Chance } from "../sim/chance.ts";
import { fuzz } from "./fuzz.ts";
import { neverRead } from "./never_reads.ts";

const { values } = readArgs("usage: deno task fuzz [--cases <number>] [--seed <number>]", {
  cases: { type: "string", default: "100000" },
  seed: { type: "string", default: "0" },
});

globalThis.addEventListener("unhandledrejection", (event) => {
  console.error("UNHANDLED", event.reason);
  Deno.exit(1);
});

const begun = performance.now();
const rooms = Math.ceil(Number(values.cases) / 500);
let harmed = 0;
let slowest = 0;
for (let room = 0; room < rooms; room += 20) {
  const result = await fuzz(Number(values.seed) + room, Math.min(20, rooms - room));
  slowest = Math.max(slowest, result.slowest);
  for (const { seed, what, frame } of result.harms) {
    harmed++;
    console.log(`seed ${seed}: ${what}\n  ${frame.slice(0, 400)}`);
  }
  const what = await neverRead(new Chance(Number(values.seed) + room));
  if (what === null) continue;
  harmed++;
  console.log(`seed ${Number(values.seed) + room}, peers that never read: ${what}`);
}
const seconds = (performance.now() - begun) / 1_000;
console.log(
  `${rooms * 500} frames in ${seconds.toFixed(0)} s: ${harmed} rooms were harmed; ` +
    `the slowest frame took ${slowest.toFixed(0)} ms`,
);
Deno.exit(harmed > 0 ? 1 : 0);
