import type { PresenceBoard } from "../room_store.ts";
import type { Fleet } from "./fleet.ts";
import type { RoomChange } from "./feed.ts";
import type { GroupCommit } from "./group_commit.ts";
import { CHUNK_BYTES, presenceKey } from "./layout.ts";

/** KV reads at most 10 keys a call: https://docs.deno.com/api/deno/~/Deno.Kv.prototype.getMany. */
const KEYS_PER_READ = 10;

/** Presence in Deno KV: a key for each room and instance, which goes with its instance. */
export class KvPresenceBoard implements PresenceBoard {
  constructor(
    private readonly kv: Deno.Kv,
    private readonly fleet: Fleet,
    private readonly committer: GroupCommit<RoomChange>,
  ) {}

  get hasOthers(): boolean {
    return this.fleet.others.size > 0;
  }

  get era(): number {
    return this.fleet.era;
  }

  advance(): Promise<void> {
    return this.fleet.advance();
  }

  async publish(room: string, present: Uint8Array | null): Promise<void> {
    // A crowd that one value cannot hold is told of no more; it is there, and its edits are.
    if (present !== null && present.length > CHUNK_BYTES) return;
    await this.committer.commit({
      subject: room,
      what: "presence",
      checks: [],
      sets: [{ key: presenceKey(this.fleet.id, room), value: present ?? undefined }],
      bytes: present?.length ?? 0,
    });
  }

  async others(room: string): Promise<Map<string, Uint8Array>> {
    const ids = [...this.fleet.others];
    const told = new Map<string, Uint8Array>();
    for (let first = 0; first < ids.length; first += KEYS_PER_READ) {
      const some = ids.slice(first, first + KEYS_PER_READ);
      const entries = await this.kv.getMany<Uint8Array[]>(some.map((id) => presenceKey(id, room)));
      entries.forEach(({ value }, n) => value !== null && told.set(some[n]!, value));
    }
    return told;
  }
}
