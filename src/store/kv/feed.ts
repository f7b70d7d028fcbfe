import { getLogger } from "@logtape/logtape";
import type { Clock } from "../../clock.ts";
import type { Change } from "../room_store.ts";
import type { Fleet } from "./fleet.ts";
import { follow } from "./follow.ts";
import type { Member } from "./group_commit.ts";
import { feedKey } from "./layout.ts";
import { levelOf } from "../errors.ts";

const logger = getLogger(["tessera", "store"]);

/**
 * Which changes a feed remembers: those of the time that another instance may take to look, in ms, and
 * so many at least and at most. Who has missed more looks at all rooms. It rides in every commit, and
 * those of over a kilobyte are slow to a KV server: see `spread_kv.ts`.
 */
const REMEMBERED_MS = 500;
const REMEMBERED_AT_LEAST = 32;
const REMEMBERED_AT_MOST = 256;

/** How often every open room is looked at whether told to or not, in ms, and in how many slices. */
const HEALING_PERIOD = 10_000;
const HEALING_SLICES = 20;

/** What is to be committed of a room, which is its subject. */
export interface RoomChange extends Member {
  /** What is changed, for other instances to know. */
  what: Change;
}

type OnChange = (what: Change) => void;

/**
 * Tells other instances which rooms this one has changed, and hears it from them. Each instance
 * writes one key with its latest changes, in the very commits that make them, and watches the one key
 * of each other instance: what that costs depends on how many instances there are, and not on how many
 * rooms are open. (Watching 2,500 rooms' heads, ten to a call, tripled the CPU of every commit.)
 */
export class Feed {
  readonly #watchers = new Map<string, OnChange>();
  /** Rooms by the marks that stand for them in feeds; two may share one, and are both told then. */
  readonly #marks = new Map<number, Set<string>>();
  readonly #heard = new Map<string, number>();
  #count = 0;
  readonly #latest: { mark: number; at: number }[] = [];
  #stopFollowing = () => {};
  #stopHealing = () => {};
  #slice = 0;

  constructor(
    private readonly kv: Deno.Kv,
    private readonly clock: Clock,
    private readonly fleet: Fleet,
  ) {
    fleet.onChange = () => this.#followOthers();
  }

  /** Starts to listen. */
  open(): void {
    this.#followOthers();
    this.#heal();
  }

  /** Calls back when another instance may have changed the room. Returns a function that stops it. */
  watch(room: string, onChange: OnChange): () => void {
    this.#watchers.set(room, onChange);
    const marks = [mark("log", room), mark("presence", room)];
    for (const each of marks) {
      this.#marks.set(each, (this.#marks.get(each) ?? new Set()).add(room));
    }
    return () => {
      if (this.#watchers.get(room) !== onChange) return;
      this.#watchers.delete(room);
      for (const each of marks) {
        const rooms = this.#marks.get(each);
        rooms?.delete(room);
        if (rooms?.size === 0) this.#marks.delete(each);
      }
    };
  }

  /** Adds news of these changes to a commit, if there is anybody to read it. */
  announce(atomic: Deno.AtomicOperation, changes: RoomChange[]): void {
    if (this.fleet.others.size === 0) return;
    this.#count += changes.length;
    const at = this.clock.uptime();
    for (const { subject, what } of changes) this.#latest.push({ mark: mark(what, subject), at });
    this.#forgetOld(at - REMEMBERED_MS);
    atomic.set(feedKey(this.fleet.id), encode(this.#count, this.#latest.map(({ mark }) => mark)));
  }

  /** Tells who watches the room on this instance, which hears of no change of its own otherwise. */
  tellHere(room: string): void {
    this.#tell([room]);
  }

  close(): void {
    this.#stopFollowing();
    this.#stopHealing();
  }

  #forgetOld(before: number): void {
    const old = this.#latest.findIndex(({ at }) => at >= before);
    const surplus = Math.min(old < 0 ? Infinity : old, this.#latest.length - REMEMBERED_AT_LEAST);
    this.#latest.splice(0, Math.max(0, surplus, this.#latest.length - REMEMBERED_AT_MOST));
  }

  #followOthers(): void {
    this.#stopFollowing();
    const others = [...this.fleet.others];
    for (const id of this.#heard.keys()) if (!this.fleet.others.has(id)) this.#heard.delete(id);
    this.#stopFollowing = follow<Uint8Array>(this.kv, this.clock, others.map(feedKey), {
      onValue: (key, value) => this.#hear(String(key[1]), value),
      onError: (error) =>
        logger[levelOf(error)]("the feed of other instances broke off: {error}", { error }),
    });
    // Who has just come, or gone, has changed things before we listened, and has not heard us.
    this.#tell(this.#watchers.keys());
    for (const onChange of [...this.#watchers.values()]) onChange("audience");
  }

  #hear(instance: string, feed: Uint8Array): void {
    const { count, latest } = decode(feed);
    const news = count - (this.#heard.get(instance) ?? -Infinity);
    this.#heard.set(instance, count);
    if (news <= 0) return;
    if (news > latest.length) return this.#tell(this.#watchers.keys());
    for (const each of new Set(latest.slice(-news))) {
      for (const room of this.#marks.get(each) ?? []) {
        this.#watchers.get(room)?.(each === mark("log", room) ? "log" : "presence");
      }
    }
  }

  /** Messages get lost and watches break: everybody looks now and then, a slice of the rooms at a time. */
  #heal(): void {
    this.#stopHealing = this.clock.after(HEALING_PERIOD / HEALING_SLICES, () => {
      this.#heal();
      if (this.fleet.others.size === 0) return;
      this.#slice = (this.#slice + 1) % HEALING_SLICES;
      this.#tell([...this.#watchers.keys()].filter((_, n) => n % HEALING_SLICES === this.#slice));
    });
  }

  #tell(rooms: Iterable<string>): void {
    for (const room of [...rooms]) {
      this.#watchers.get(room)?.("log");
      this.#watchers.get(room)?.("presence");
    }
  }
}

/** A number for a change, which it may share with others: FNV-1a, http://www.isthe.com/chongo/tech/comp/fnv/. */
function mark(what: Change, room: string): number {
  let hash = what === "log" ? 0x811c9dc5 : 0x01000193;
  for (let n = 0; n < room.length; n++) hash = Math.imul(hash ^ room.charCodeAt(n), 0x01000193);
  return hash >>> 0;
}

function encode(count: number, latest: number[]): Uint8Array {
  const bytes = new DataView(new ArrayBuffer(8 + 4 * latest.length));
  bytes.setFloat64(0, count);
  latest.forEach((each, n) => bytes.setUint32(8 + 4 * n, each));
  return new Uint8Array(bytes.buffer);
}

function decode(feed: Uint8Array): { count: number; latest: number[] } {
  const bytes = new DataView(feed.buffer, feed.byteOffset, feed.byteLength);
  const latest = Array.from(
    { length: (feed.length - 8) / 4 },
    (_, n) => bytes.getUint32(8 + 4 * n),
  );
  return { count: bytes.getFloat64(0), latest };
}
