import { parseArgs } from "node:util";
import { importRooms } from "./backup.ts";
import { KvRoomStore } from "../store/kv/kv_room_store.ts";
import { report } from "./report.ts";
import { runTool, UsageError } from "./tool.ts";

await runTool({
  usage: "usage: deno task import <folder> [--room <room>]...",
  creates: true,
  async run(kv) {
    const { values, positionals } = parseArgs({
      args: Deno.args,
      options: { room: { type: "string", multiple: true } },
      allowPositionals: true,
    });
    const [folder] = positionals;
    if (folder === undefined || positionals.length > 1) {
      throw new UsageError("import needs one folder");
    }
    return await report("imported", importRooms(new KvRoomStore(kv), folder, values.room));
  },
});
