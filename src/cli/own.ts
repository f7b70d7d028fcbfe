import { placeOn } from "./place.ts";
import { Exit, runTool, UsageError } from "./tool.ts";

await runTool({
  usage: `usage: deno task own <room> <did>
Makes a DID the owner of a room that has none, as after the import of an old export.
KV_PATH or DATA_DIR says where the database is. It may be in use.`,
  options: {},
  async run(kv, { positionals }) {
    const [room, did] = positionals;
    if (room === undefined || did === undefined || positionals.length > 2) {
      throw new UsageError("own needs a room and a DID");
    }
    const { store, access } = placeOn(kv);
    try {
      if ((await store.log(room).pull()).length === 0) throw new Error("there is no such room");
      await access.assign(room, did);
    } catch (error) {
      console.error(`${JSON.stringify(room)}: ${error instanceof Error ? error.message : error}`);
      return Exit.wrong;
    }
    console.log(`${JSON.stringify(room)} belongs to ${did}`);
    return Exit.well;
  },
});
