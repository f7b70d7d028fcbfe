import type { RoomLog, RoomStore } from "../room_store.ts";
import { GroupCommit } from "./group_commit.ts";
import { KvRoomLog } from "./kv_room_log.ts";

/** Rooms in Deno KV: embedded, on a KV server, or on Deno Deploy. */
export class KvRoomStore implements RoomStore {
  readonly #committer: GroupCommit;

  constructor(private readonly kv: Deno.Kv) {
    this.#committer = new GroupCommit(kv);
  }

  log(room: string): RoomLog {
    return new KvRoomLog(this.kv, this.#committer, room);
  }

  async ping(): Promise<void> {
    await this.kv.get(["ping"]);
  }
}
