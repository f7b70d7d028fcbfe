import { type Clock, systemClock } from "../../clock.ts";
import type { Change, PresenceBoard, RoomLog, RoomStore } from "../room_store.ts";
import { deleteKeys } from "./blobs.ts";
import { Feed } from "./feed.ts";
import { Fleet } from "./fleet.ts";
import { GroupCommit } from "./group_commit.ts";
import { KvRoomLog } from "./kv_room_log.ts";
import { type Head, headKey, roomPrefix, roomsPrefix } from "./layout.ts";
import { KvPresenceBoard } from "./presence_board.ts";

/** Rooms in Deno KV: embedded, on a KV server, or on Deno Deploy. */
export class KvRoomStore implements RoomStore {
  readonly presence: PresenceBoard;
  readonly #fleet: Fleet;
  readonly #feed: Feed;
  readonly #committer: GroupCommit;
  #joined = false;

  constructor(private readonly kv: Deno.Kv, clock: Clock = systemClock) {
    this.#fleet = new Fleet(kv, clock);
    this.#feed = new Feed(kv, clock, this.#fleet);
    this.#committer = new GroupCommit(kv, this.#feed);
    this.presence = new KvPresenceBoard(kv, this.#fleet, this.#committer);
  }

  /** Joins the instances that share the store. Who only reads, as a tool does, need not. */
  async join(): Promise<void> {
    this.#joined = true;
    await this.#fleet.join();
    this.#feed.open();
  }

  log(room: string): RoomLog {
    return new KvRoomLog(this.kv, this.#committer, room);
  }

  watch(room: string, onChange: (what: Change) => void): () => void {
    return this.#feed.watch(room, onChange);
  }

  /** Marked first, so that nobody can append, nor begin the room anew, until the last of it is gone. */
  async delete(room: string): Promise<void> {
    const key = headKey(room);
    let head: Deno.KvEntryMaybe<Head> = await this.kv.get<Head>(key);
    while (head.value !== null && !head.value.deleting && !await this.#mark(room, head)) {
      head = await this.kv.get<Head>(key);
    }
    const keys: Deno.KvKey[] = [];
    for await (const entry of this.kv.list({ prefix: roomPrefix(room) })) {
      if (entry.key[2] !== "head") keys.push(entry.key);
    }
    await deleteKeys(this.kv, [...keys, key]);
  }

  async #mark(room: string, head: Deno.KvEntry<Head>): Promise<boolean> {
    const versionstamp = await this.#committer.commit({
      room,
      what: "log",
      check: head,
      sets: [{ key: head.key, value: { ...head.value, deleting: true } }],
      bytes: 0,
    });
    return versionstamp !== null;
  }

  async *rooms(): AsyncIterable<string> {
    let start: Deno.KvKey = [...roomsPrefix, ""];
    for (;;) {
      const [first] = await Array.fromAsync(
        this.kv.list({ prefix: roomsPrefix, start }, { limit: 1 }),
      );
      if (first === undefined) return;
      const room = String(first.key[1]);
      yield room;
      start = [...roomsPrefix, room, true]; // after all of its keys: true is the last kind of key part
    }
  }

  async ping(): Promise<void> {
    await this.kv.get(["ping"]);
  }

  async close(): Promise<void> {
    if (!this.#joined) return;
    this.#feed.close();
    await this.#fleet.leave();
  }
}
