import { parseArgs } from "node:util";
import { KvRoomStore } from "../store/kv/kv_room_store.ts";
import { sweep } from "../store/kv/sweep.ts";
import { diagnose } from "./diagnosis.ts";
import { Exit, runTool } from "./tool.ts";

await runTool({
  usage: "usage: deno task doctor [--repair] [<room>]...",
  checks: true,
  async run(kv) {
    const { values, positionals } = parseArgs({
      args: Deno.args,
      options: { repair: { type: "boolean", default: false } },
      allowPositionals: true,
    });
    const now = Date.now();
    if (values.repair) console.log(`${await sweep(kv, now)} unfinished things finished`);
    const rooms = positionals.length > 0 ? positionals : new KvRoomStore(kv).rooms();
    let [count, sick, left] = [0, 0, 0];
    for await (const finding of diagnose(kv, rooms, values.repair ? now : null)) {
      const { room, faults, repaired, error } = finding;
      count++;
      if (faults.length === 0 && error === undefined) continue;
      sick++;
      if (repaired === undefined) left++;
      console.error(`${JSON.stringify(room)}: ${[...faults, ...error ? [error] : []].join("; ")}`);
      if (repaired !== undefined) console.log(`  repaired: ${repaired}`);
    }
    console.log(`${count} rooms examined, ${sick} damaged, ${sick - left} repaired`);
    return left === 0 ? Exit.well : Exit.wrong;
  },
});
