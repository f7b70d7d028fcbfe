import { importRooms } from "./backup.ts";
import { KvRoomStore } from "../store/kv/kv_room_store.ts";
import { report } from "./report.ts";
import { runTool, UsageError } from "./tool.ts";

await runTool({
  usage: `usage: deno task import <folder> [--room <room>]...
Merges what \`deno task export\` wrote to a folder into the database.
  --room <room>   only this room; may be given several times
KV_PATH or DATA_DIR says where the database is. It may be in use.`,
  options: { room: { type: "string", multiple: true } },
  creates: true,
  async run(kv, { values, positionals }) {
    const [folder] = positionals;
    if (folder === undefined || positionals.length > 1) {
      throw new UsageError("import needs one folder");
    }
    return await report("imported", importRooms(new KvRoomStore(kv), folder, values.room));
  },
});
