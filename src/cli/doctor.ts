import { examine } from "../store/kv/examine.ts";
import { KvRoomStore } from "../store/kv/kv_room_store.ts";
import { sweep } from "../store/kv/sweep.ts";
import { diagnose } from "./diagnosis.ts";
import { Exit, runTool } from "./tool.ts";

await runTool({
  usage: `usage: deno task doctor [--repair] [<room>]...
Examines the database and its rooms (all, or those named), and says what is damaged.
  --repair   repair damaged rooms, keeping what can be read
KV_PATH or DATA_DIR says where the database is. Exit codes: 0 nothing is wrong (any more),
1 something is damaged, 2 the doctor could not look.`,
  options: { repair: { type: "boolean", default: false } },
  checks: true,
  async run(kv, { values, positionals }) {
    for (const room of positionals) {
      if (!(await examine(kv, room)).isThere) {
        console.error(`there is no room ${JSON.stringify(room)}`);
        return Exit.cannotRun;
      }
    }
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
