import { type Clock, systemClock } from "../../clock.ts";
import type { Change, PresenceBoard, RoomLog, RoomStore } from "../room_store.ts";
import { children } from "./children.ts";
import type { Breaker } from "./breaker.ts";
import { Company } from "./company.ts";
import { keepExpiring } from "./expiry.ts";
import { Feed, type RoomChange } from "./feed.ts";
import { Fleet } from "./fleet.ts";
import { GroupCommit } from "./group_commit.ts";
import { KvRoomLog } from "./kv_room_log.ts";
import {
  emptyHead,
  headKey,
  roomsPrefix,
  sealRecord,
  type Unfinished,
  unfinishedRoomKey,
  unsealHead,
} from "./layout.ts";
import { KvPresenceBoard } from "./presence_board.ts";
import { keepSweeping } from "./sweep.ts";
import { finish } from "./unfinished.ts";

/** What is to be committed together with something else, or not at all. */
export type Along = Pick<RoomChange, "alsoAbout" | "checks" | "sets">;

const NOTHING: Along = { checks: [], sets: [] };

/** For how long a write proves that the store can be written, in ms: callers of `ping` share it. */
const PROVEN_FOR = 1_000;

/** Rooms in Deno KV: embedded, on a KV server, or on Deno Deploy. */
export class KvRoomStore implements RoomStore {
  readonly presence: PresenceBoard;
  readonly #fleet: Fleet;
  readonly #feed: Feed;
  readonly #committer: GroupCommit<RoomChange>;
  #stopSweeping = () => {};
  #stopExpiring = () => {};
  #joined = false;
  /** The last write of a `ping`, and when it began. */
  #proof: { at: number; written: Promise<unknown> } | null = null;

  constructor(
    private readonly kv: Deno.Kv,
    private readonly clock: Clock = systemClock,
    private readonly breaker?: Breaker,
  ) {
    this.#fleet = new Fleet(kv, clock);
    this.#feed = new Feed(kv, clock, this.#fleet);
    this.#committer = new GroupCommit<RoomChange>(kv, {
      company: new Company(clock),
      announce: (atomic, changes) => this.#feed.announce(atomic, changes),
    });
    this.presence = new KvPresenceBoard(kv, this.#fleet, this.#committer);
  }

  /** Joins the instances that share the store. Who only reads, as a tool does, need not. */
  async join(): Promise<void> {
    this.#joined = true;
    await this.#fleet.join();
    this.#feed.open();
    this.#stopSweeping = keepSweeping(this.kv, this.clock);
    this.#stopExpiring = keepExpiring(this.kv, this.clock);
  }

  log(room: string): RoomLog {
    return new KvRoomLog(this.kv, this.#committer, room, this.clock);
  }

  watch(room: string, onChange: (what: Change) => void): () => void {
    return this.#feed.watch(room, onChange);
  }

  /**
   * Commits something else than a log's entries, together with those. Other instances hear of it by
   * its subject. Resolves with null when one of its checks failed.
   */
  commit(change: RoomChange): Promise<string | null> {
    return this.#committer.commit(change);
  }

  /**
   * Marked first, so that nobody can append, nor begin the room anew, until the last of it is gone.
   * @param along What is to be committed with the mark; asked for before each try. May throw.
   */
  async delete(room: string, along?: () => Promise<Along>): Promise<void> {
    while (!await this.#mark(room, await along?.() ?? NOTHING));
    this.#feed.tellHere(room);
    const begun = await this.kv.get<Unfinished>(unfinishedRoomKey(room));
    if (begun.value !== null) await finish(this.kv, begun);
  }

  /** Whether the room is marked as deleted now; if not, its head has moved, or what was to be checked. */
  async #mark(room: string, { alsoAbout, checks, sets }: Along): Promise<boolean> {
    const { key, value, versionstamp } = await this.kv.get(headKey(room));
    const head = unsealHead(value) ?? emptyHead();
    if (head.deleting && sets.length === 0) return true;
    const begun: Unfinished = { what: "room", since: this.clock.now() };
    const marked = await this.#committer.commit({
      subject: room,
      alsoAbout,
      what: "log",
      checks: [{ key, versionstamp }, ...checks],
      sets: [
        { key, value: sealRecord({ ...head, deleting: true }) },
        { key: unfinishedRoomKey(room), value: begun },
        ...sets,
      ],
      bytes: 0,
    });
    return marked !== null;
  }

  async *rooms(): AsyncIterable<string> {
    for await (const { part } of children(this.kv, roomsPrefix)) yield String(part);
  }

  async ping(): Promise<void> {
    this.breaker?.assertSound();
    await this.kv.get(["ping"]);
    const now = this.clock.uptime();
    if (this.#proof === null || now - this.#proof.at >= PROVEN_FOR) {
      this.#proof = { at: now, written: this.kv.set(["ping"], 0) };
    }
    await this.#proof.written;
  }

  async close(): Promise<void> {
    if (!this.#joined) return;
    this.#stopSweeping();
    this.#stopExpiring();
    this.#feed.close();
    await this.#fleet.leave();
  }
}
