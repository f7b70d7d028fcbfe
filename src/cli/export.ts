import { exportRooms } from "./backup.ts";
import { allRooms, placeOn } from "./place.ts";
import { report } from "./report.ts";
import { runTool, UsageError } from "./tool.ts";

await runTool({
  usage: `usage: deno task export <room>|--all <folder>
Writes one room, or all of them, to a folder that \`deno task import\` reads.
KV_PATH or DATA_DIR says where the database is. It may be in use.`,
  options: { all: { type: "boolean", default: false } },
  async run(kv, { values, positionals }) {
    const folder = positionals.at(-1);
    if (folder === undefined || positionals.length !== (values.all ? 1 : 2)) {
      throw new UsageError("export needs a room, or --all, and a folder");
    }
    const rooms = values.all ? allRooms(kv) : [positionals[0]!];
    return await report("exported", exportRooms(placeOn(kv), rooms, folder, Date.now()));
  },
});
