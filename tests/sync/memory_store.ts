import type { LogSize, RoomLog, RoomStore } from "../../src/store/room_store.ts";

/** What is done to a store. */
export type Operation = "pull" | "append" | "compact" | "ping";

interface Entry {
  seq: number;
  update: Uint8Array;
}

interface Stored {
  snapshot: Entry | null;
  log: Entry[];
  seq: number;
}

/** A store in memory that tests can slow down and break. It passes the same contract as the real ones. */
export class MemoryStore implements RoomStore {
  readonly #rooms = new Map<string, Stored>();
  /** Awaited before an operation takes effect: it may wait, or throw. */
  before: (operation: Operation, room: string) => Promise<void> | void = () => {};
  /** Awaited when it has taken effect, and nobody knows yet. */
  after: (operation: Operation, room: string) => Promise<void> | void = () => {};
  /** Every update that was appended, in order. */
  readonly appended: Uint8Array[] = [];
  /** How often a log was read. */
  pulls = 0;

  log(room: string): RoomLog {
    return new MemoryLog(this, room);
  }

  async ping(): Promise<void> {
    await this.before("ping", "");
  }

  stored(room: string): Stored {
    const stored = this.#rooms.get(room) ?? { snapshot: null, log: [], seq: 0 };
    this.#rooms.set(room, stored);
    return stored;
  }
}

class MemoryLog implements RoomLog {
  #seen = 0;
  #snapshot: Entry | null = null;

  constructor(private readonly store: MemoryStore, private readonly room: string) {}

  get size(): LogSize {
    const since = this.#snapshot?.seq ?? 0;
    const log = this.#stored.log.filter(({ seq }) => seq > since && seq <= this.#seen);
    return {
      snapshotBytes: this.#snapshot?.update.length ?? 0,
      entries: log.length,
      bytes: log.reduce((sum, { update }) => sum + update.length, 0),
    };
  }

  async pull(): Promise<Uint8Array[]> {
    await this.store.before("pull", this.room);
    this.store.pulls++;
    return this.#unseen();
  }

  async append(update: Uint8Array): Promise<Uint8Array[]> {
    await this.store.before("append", this.room);
    const missed = this.#unseen();
    this.#seen = ++this.#stored.seq;
    this.#stored.log.push({ seq: this.#seen, update });
    this.store.appended.push(update);
    await this.store.after("append", this.room);
    return missed;
  }

  async compact(update: Uint8Array): Promise<boolean> {
    const [seq, replaced] = [this.#seen, this.#snapshot];
    await this.store.before("compact", this.room);
    if (this.#stored.snapshot !== replaced) return false;
    this.#stored.snapshot = this.#snapshot = { seq, update };
    this.#stored.log = this.#stored.log.filter((entry) => entry.seq > seq);
    await this.store.after("compact", this.room);
    return true;
  }

  get #stored(): Stored {
    return this.store.stored(this.room);
  }

  #unseen(): Uint8Array[] {
    const { snapshot, log, seq } = this.#stored;
    const entries = snapshot === null ? log : [snapshot, ...log];
    const unseen = entries.filter((entry) => entry.seq > this.#seen);
    this.#seen = seq;
    this.#snapshot = snapshot;
    return unseen.map(({ update }) => update);
  }
}
