import { importRooms } from "./backup.ts";
import { placeOn } from "./place.ts";
import { report } from "./report.ts";
import { runTool, UsageError } from "./tool.ts";

await runTool({
  usage:
    `usage: deno task import <folder> [--room <room>]... [--owner <did>] [--access keep|replace]
Merges what \`deno task export\` wrote to a folder into the database.
  --room <room>     only this room; may be given several times
  --owner <did>     who is to own rooms whose owner neither the export nor their name tells
  --access keep     rooms that have an owner keep their access, whoever owns them in the export
  --access replace  rooms that have an owner get the access of the export instead; by default they
                    keep theirs, and are not imported if somebody else owns them in the export
KV_PATH or DATA_DIR says where the database is. It may be in use.`,
  options: {
    room: { type: "string", multiple: true },
    owner: { type: "string" },
    access: { type: "string" },
  },
  creates: true,
  async run(kv, { values, positionals }) {
    const [folder] = positionals;
    if (folder === undefined || positionals.length > 1) {
      throw new UsageError("import needs one folder");
    }
    const { room: only, owner, access } = values;
    if (access !== undefined && access !== "keep" && access !== "replace") {
      throw new UsageError("--access is keep or replace");
    }
    const options = { only, owner, existing: access } as const;
    return await report("imported", importRooms(placeOn(kv), folder, options));
  },
});
