import { parseArgs } from "node:util";
import { exportRooms } from "./backup.ts";
import { KvRoomStore } from "../store/kv/kv_room_store.ts";
import { report } from "./report.ts";
import { runTool, UsageError } from "./tool.ts";

await runTool({
  usage: "usage: deno task export <room>|--all <folder>",
  async run(kv) {
    const { values, positionals } = parseArgs({
      args: Deno.args,
      options: { all: { type: "boolean", default: false } },
      allowPositionals: true,
    });
    const folder = positionals.at(-1);
    if (folder === undefined || positionals.length !== (values.all ? 1 : 2)) {
      throw new UsageError("export needs a room, or --all, and a folder");
    }
    const store = new KvRoomStore(kv);
    const rooms = values.all ? store.rooms() : [positionals[0]!];
    return await report("exported", exportRooms(store, rooms, folder, Date.now()));
  },
});
