import {
  type Change,
  type LogSize,
  type Premise,
  PremiseError,
  type PresenceBoard,
  RoomDeletedError,
  type RoomLog,
  type RoomStore,
} from "../../src/store/room_store.ts";

/** What is done to a store. */
export type Operation =
  | "pull"
  | "append"
  | "compact"
  | "publish"
  | "others"
  | "advance"
  | "delete"
  | "ping";

interface Entry {
  seq: number;
  update: Uint8Array;
}

interface Stored {
  snapshot: Entry | null;
  log: Entry[];
  seq: number;
}

/** What several instances share. */
class Disk {
  readonly rooms = new Map<string, Stored>();
  readonly presence = new Map<string, Map<MemoryStore, Uint8Array>>();
  readonly instances = new Set<MemoryStore>();
  /** What a premise may be about, by its key. */
  readonly versions = new Map<string, number>();
  era = 0;
  /** How often a room went. */
  deletions = 0;
  /** Called when a room goes. */
  onDelete: (room: string) => void = () => {};
  /** Called when somebody has written to a room who looked before it went, and saw nothing to go. */
  onRevival: (room: string) => void = () => {};

  /** Changes something that premises are about. */
  touch(key: Deno.KvKey): Premise {
    const name = JSON.stringify(key);
    this.versions.set(name, (this.versions.get(name) ?? 0) + 1);
    return this.premise(key);
  }

  /** It, as it is now. */
  premise(key: Deno.KvKey): Premise {
    const version = this.versions.get(JSON.stringify(key));
    return { key, versionstamp: version === undefined ? null : String(version) };
  }

  room(name: string): Stored {
    const stored = this.rooms.get(name) ?? { snapshot: null, log: [], seq: 0 };
    this.rooms.set(name, stored);
    return stored;
  }

  /** Tells every instance but the one that did it. */
  tell(author: MemoryStore, room: string, what: Change): void {
    for (const instance of this.instances) if (instance !== author) instance.told(room, what);
  }
}

/**
 * One instance's store in memory, which tests can slow down and break. It passes the same contract as
 * the real ones.
 */
export class MemoryStore implements RoomStore {
  /** Awaited before an operation takes effect: it may wait, or throw. */
  before: (operation: Operation, room: string) => Promise<void> | void = () => {};
  /** Awaited when it has taken effect, and nobody knows yet. */
  after: (operation: Operation, room: string) => Promise<void> | void = () => {};
  /** Called with each update that is stored. */
  onStored: (update: Uint8Array) => void = () => {};
  /** Every update that was appended, in order. */
  readonly appended: Uint8Array[] = [];
  /** How often a log was read. */
  pulls = 0;
  #era: number;
  readonly #watchers = new Map<string, Set<(what: Change) => void>>();

  constructor(readonly disk: Disk = new Disk()) {
    this.#era = ++disk.era;
    disk.instances.add(this);
    for (const instance of disk.instances) {
      for (const room of instance.#watchers.keys()) instance.told(room, "audience");
    }
  }

  /** The store of another instance, on the same disk. */
  another(): MemoryStore {
    return new MemoryStore(this.disk);
  }

  log(room: string): RoomLog {
    return new MemoryLog(this, room);
  }

  watch(room: string, onChange: (what: Change) => void): () => void {
    this.#watchers.set(room, (this.#watchers.get(room) ?? new Set()).add(onChange));
    return () => {
      const watchers = this.#watchers.get(room);
      watchers?.delete(onChange);
      if (watchers?.size === 0) this.#watchers.delete(room);
    };
  }

  /** The era here is later than any before. */
  beat(): void {
    this.#era = ++this.disk.era;
  }

  /** How many rooms are watched. */
  get watched(): number {
    return this.#watchers.size;
  }

  told(room: string, what: Change): void {
    for (const onChange of this.#watchers.get(room) ?? []) onChange(what);
  }

  readonly presence: PresenceBoard = this.#board();

  #board(): PresenceBoard {
    const { disk } = this;
    // deno-lint-ignore no-this-alias -- a getter has a `this` of its own
    const store = this;
    const here = (room: string) => disk.presence.get(room) ?? new Map<MemoryStore, Uint8Array>();
    return {
      get hasOthers() {
        return disk.instances.size > 1;
      },
      // It stands still, unless it has to move: it must be enough that it moves every few seconds.
      get era() {
        return store.#era;
      },
      advance: async () => {
        if (disk.instances.size === 1 && this.#era === disk.era) return;
        await this.before("advance", "");
        this.beat();
      },
      publish: async (room, present) => {
        await this.before("publish", room);
        const told = here(room);
        if (present === null) told.delete(this);
        else told.set(this, present);
        disk.presence.set(room, told);
        disk.tell(this, room, "presence");
      },
      others: async (room) => {
        await this.before("others", room);
        const others = [...here(room)].filter(([instance]) => instance !== this);
        const names = new Map([...disk.instances].map((instance, n) => [instance, String(n)]));
        return new Map(others.map(([instance, present]) => [names.get(instance)!, present]));
      },
    };
  }

  async delete(room: string): Promise<void> {
    await this.before("delete", room);
    this.disk.onDelete(room);
    this.disk.deletions++;
    this.disk.rooms.delete(room);
    this.disk.tell(this, room, "log");
    this.told(room, "log");
    await this.after("delete", room);
  }

  async *rooms(): AsyncIterable<string> {
    for (const [name, { seq }] of this.disk.rooms) if (seq > 0) yield await Promise.resolve(name);
  }

  async ping(): Promise<void> {
    await this.before("ping", "");
  }

  close(): Promise<void> {
    this.disk.instances.delete(this);
    for (const told of this.disk.presence.values()) told.delete(this);
    return Promise.resolve();
  }
}

class MemoryLog implements RoomLog {
  readonly #openedAfter: number;
  #seen = 0;
  #known: Stored | null = null;
  #snapshot: Entry | null = null;
  #read: Uint8Array[] = [];

  constructor(private readonly store: MemoryStore, private readonly room: string) {
    this.#openedAfter = store.disk.deletions;
  }

  get size(): LogSize {
    const since = this.#snapshot?.seq ?? 0;
    const { log: entries } = this.#known ?? this.store.disk.room(this.room);
    const log = entries.filter(({ seq }) => seq > since && seq <= this.#seen);
    return {
      snapshotBytes: this.#snapshot?.update.length ?? 0,
      entries: log.length,
      bytes: log.reduce((sum, { update }) => sum + update.length, 0),
    };
  }

  async pull(): Promise<Uint8Array[]> {
    await this.store.before("pull", this.room);
    this.store.pulls++;
    this.#look();
    return this.#handOut();
  }

  async append(update: Uint8Array, premise?: Premise): Promise<Uint8Array[]> {
    await this.store.before("append", this.room);
    if (premise !== undefined) {
      const { versionstamp } = this.store.disk.premise(premise.key);
      if (versionstamp !== premise.versionstamp) throw new PremiseError(this.room);
    }
    const revives = this.#known === null && this.#openedAfter < this.store.disk.deletions;
    this.#look();
    const seq = ++this.#stored.seq;
    this.#known = this.#stored;
    this.#known.log.push({ seq, update });
    this.store.disk.tell(this.store, this.room, "log");
    this.store.appended.push(update);
    this.store.onStored(update);
    if (revives) this.store.disk.onRevival(this.room);
    await this.store.after("append", this.room);
    // Only if it is known to be there: else it is read as if it were another's.
    this.#seen = Math.max(this.#seen, seq);
    return this.#handOut();
  }

  async compact(update: Uint8Array): Promise<boolean> {
    if (this.#read.length > 0) return false;
    const [seq, replaced] = [this.#seen, this.#snapshot];
    await this.store.before("compact", this.room);
    if (this.#stored.snapshot !== replaced) return false;
    this.#stored.snapshot = this.#snapshot = { seq, update };
    this.#stored.log = this.#stored.log.filter((entry) => entry.seq > seq);
    await this.store.after("compact", this.room);
    return true;
  }

  /** @throws {RoomDeletedError} when it is not the one that this log began with. */
  get #stored(): Stored {
    const stored = this.store.disk.room(this.room);
    this.#known ??= stored.seq > 0 ? stored : null;
    if (this.#known !== null && this.#known !== stored) throw new RoomDeletedError(this.room);
    return stored;
  }

  /** Reads on to where the log ends now. */
  #look(): void {
    const { snapshot, log, seq } = this.#stored;
    const entries = snapshot === null ? log : [snapshot, ...log];
    for (const entry of entries) if (entry.seq > this.#seen) this.#read.push(entry.update);
    this.#seen = seq;
    this.#snapshot = snapshot;
  }

  /** What was read and not handed out yet. */
  #handOut(): Uint8Array[] {
    return this.#read.splice(0);
  }
}
