/** `deno task soak [--sockets 10000] [--minutes 10] [--pace 2]`, the pace in seconds: see soak.ts. */
import { readArgs } from "../../../src/cli/args.ts";
import { findKvServer } from "../../real/kv_server.ts";
import { soak } from "./soak.ts";

const { values } = readArgs(
  "usage: deno task soak [--sockets <number>] [--minutes <number>] [--pace <seconds>]",
  {
    sockets: { type: "string", default: "10000" },
    minutes: { type: "string", default: "10" },
    pace: { type: "string", default: "2" },
  },
);

const program = await findKvServer();
if (program === null) throw new Error("this needs denokv: cargo install denokv --locked");
const report = await soak({
  program,
  sockets: Number(values.sockets),
  duration: Number(values.minutes) * 60_000,
  pace: Number(values.pace) * 1_000,
  say: console.log,
});
const { missing, errors, rss, ...numbers } = report;
console.log({ ...numbers, missing: missing.length, errors: errors.length });
for (const error of errors.slice(0, 3)) console.log(error.slice(0, 500));
console.log(
  `memory: ${rss.first.toFixed(0)} MB, then ${rss.last.toFixed(0)} MB: ` +
    `${rss.slope.toFixed(1)} MB a minute`,
);
Deno.exit(missing.length + errors.length > 0 ? 1 : 0);
