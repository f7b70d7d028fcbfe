/**
 * `deno task sim [--seeds 1000] [--from 0]` runs many simulated worlds;
 * `deno task sim --seed 42` replays one and tells what happened in it.
 */
import { readArgs } from "../../src/cli/args.ts";
import { simulate } from "./world.ts";

const { values } = readArgs(
  "usage: deno task sim [--seeds <number>] [--from <seed>]\n       deno task sim --seed <seed>",
  {
    seeds: { type: "string", default: "1000" },
    from: { type: "string", default: "0" },
    seed: { type: "string" },
  },
);

if (values.seed !== undefined) {
  const { faults, trace } = await simulate(Number(values.seed));
  console.log(trace.join("\n"));
  console.log(faults.length === 0 ? "all is well" : faults.join("\n"));
  Deno.exit(faults.length === 0 ? 0 : 1);
}

const [first, count] = [Number(values.from), Number(values.seeds)];
const started = performance.now();
let failed = 0;
for (let seed = first; seed < first + count; seed++) {
  const { faults } = await simulate(seed);
  if (faults.length === 0) continue;
  failed++;
  console.log(`seed ${seed}: ${faults.join("; ")}\n  deno task sim --seed ${seed}`);
}
const seconds = (performance.now() - started) / 1000;
console.log(`${count - failed} worlds passed, ${failed} failed, in ${seconds.toFixed(1)} s`);
Deno.exit(failed === 0 ? 0 : 1);
