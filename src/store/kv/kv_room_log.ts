import { DamagedRoomError, type LogSize, RoomDeletedError, type RoomLog } from "../room_store.ts";
import { deleteBlob, deleteKeys, readBlob, writeBlob } from "./blobs.ts";
import type { GroupCommit } from "./group_commit.ts";
import {
  type BlobRef,
  type Head,
  headKey,
  INLINE_BYTES,
  logKey,
  logPrefix,
  seal,
  type Snapshot,
  unseal,
} from "./layout.ts";

/** How often a read starts over because a compaction pulled the log away under it. */
const MAX_READS = 10;

/** One room's log in Deno KV. Its view of the head is what `append` and `compact` check against. */
export class KvRoomLog implements RoomLog {
  #head: Head = emptyHead();
  #versionstamp: string | null = null;
  /** Kept here, and not on the way, so that a failure between reading and handing out loses nothing. */
  #read: Uint8Array[] = [];
  /** One change of the head at a time: an append and a compaction of ours must not refute each other. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly kv: Deno.Kv,
    private readonly committer: GroupCommit,
    private readonly room: string,
  ) {}

  get size(): LogSize {
    const { snapshot, entries, bytes } = this.#head;
    return { snapshotBytes: snapshot?.bytes ?? 0, entries, bytes };
  }

  pull(): Promise<Uint8Array[]> {
    return this.#inTurn(async () => {
      await this.#pull();
      return this.#handOut();
    });
  }

  append(update: Uint8Array): Promise<Uint8Array[]> {
    return this.#inTurn(async () => {
      const entry = update.length <= INLINE_BYTES
        ? seal(update)
        : await writeBlob(this.kv, this.room, update);
      while (!await this.#commitEntry(entry, update.length)) await this.#pull();
      return this.#handOut();
    });
  }

  async compact(snapshot: Uint8Array): Promise<boolean> {
    // A view that failed on the way may have read more than it could hand out.
    if (this.#read.length > 0) return false;
    const seen = this.#head;
    const ref = await writeBlob(this.kv, this.room, snapshot);
    // What was read back is what the next start will read: only then may the old go.
    if (await readBlob(this.kv, this.room, ref) === null) {
      throw new DamagedRoomError(this.room, "a new snapshot did not read back as it was written");
    }
    const swapped = await this.#inTurn(() => this.#swapSnapshot({ ...ref, seq: seen.seq }, seen));
    if (swapped) await this.#deleteBefore(seen);
    else await deleteBlob(this.kv, this.room, ref);
    return swapped;
  }

  #inTurn<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(task);
    this.#turn = result.catch(() => {});
    return result;
  }

  /** Whether the entry is in. If not, the head has moved and must be pulled first. */
  async #commitEntry(entry: Uint8Array | BlobRef, bytes: number): Promise<boolean> {
    const seq = this.#head.seq + 1;
    const head = {
      ...this.#head,
      seq,
      entries: this.#head.entries + 1,
      bytes: this.#head.bytes + bytes,
    };
    return await this.#commitHead(head, [{ key: logKey(this.room, seq), value: entry }]);
  }

  async #swapSnapshot(snapshot: Snapshot, seen: Head): Promise<boolean> {
    if (this.#head.snapshot?.blob !== seen.snapshot?.blob) return false;
    return await this.#commitHead({
      ...this.#head,
      snapshot,
      entries: this.#head.entries - seen.entries,
      bytes: this.#head.bytes - seen.bytes,
    }, []);
  }

  async #commitHead(head: Head, sets: { key: Deno.KvKey; value: unknown }[]): Promise<boolean> {
    const key = headKey(this.room);
    const versionstamp = await this.committer.commit({
      room: this.room,
      what: "log",
      check: { key, versionstamp: this.#versionstamp },
      sets: [{ key, value: head }, ...sets],
      bytes: sets.reduce((sum, { value }) => sum + weigh(value), 256),
    });
    if (versionstamp === null) return false;
    this.#head = head;
    this.#versionstamp = versionstamp;
    return true;
  }

  /** What was read and not handed out yet. */
  #handOut(): Uint8Array[] {
    const read = this.#read;
    this.#read = [];
    return read;
  }

  /** Reads on to where the log ends now. */
  async #pull(): Promise<void> {
    const since = this.#head.seq;
    let seenStamp: string | null | undefined;
    for (let reads = 0; reads < MAX_READS; reads++) {
      const entry = await this.kv.get<Head>(headKey(this.room));
      if (entry.versionstamp === this.#versionstamp) return;
      const head = entry.value ?? this.#head;
      const replaced = this.#versionstamp !== null && entry.value?.id !== this.#head.id;
      if (replaced || head.deleting) throw new RoomDeletedError(this.room);
      const result = await this.#readLog(head, since);
      if (!(result instanceof DamagedRoomError)) {
        this.#head = head;
        this.#versionstamp = entry.versionstamp;
        this.#read.push(...result);
        return;
      }
      // If the head moved while it was read, that was a compaction and no damage: look again.
      if (seenStamp === entry.versionstamp) throw result;
      seenStamp = entry.versionstamp;
    }
    throw new Error(`room ${JSON.stringify(this.room)} is compacted faster than it can be read`);
  }

  /** What `head` holds after entry `since`: the snapshot if that is news, then the log. */
  async #readLog(head: Head, since: number): Promise<Uint8Array[] | DamagedRoomError> {
    const updates: Uint8Array[] = [];
    let seq = since;
    if (head.snapshot !== null && head.snapshot.seq > since) {
      const snapshot = await readBlob(this.kv, this.room, head.snapshot);
      if (snapshot === null) return this.#damaged("its snapshot");
      updates.push(snapshot);
      seq = head.snapshot.seq;
    }
    const range = { start: logKey(this.room, seq + 1), end: logKey(this.room, head.seq + 1) };
    for await (const { key, value } of this.kv.list<Uint8Array | BlobRef>(range)) {
      if (key.at(-1) !== ++seq) return this.#damaged(`log entry ${seq} is missing`);
      const update = value instanceof Uint8Array
        ? unseal(value)
        : await readBlob(this.kv, this.room, value);
      if (update === null) return this.#damaged(`log entry ${seq}`);
      updates.push(update);
    }
    return seq === head.seq ? updates : this.#damaged(`log entry ${seq + 1} is missing`);
  }

  #damaged(what: string): DamagedRoomError {
    return new DamagedRoomError(this.room, what);
  }

  /** Deletes what a snapshot at `seen.seq` has made superfluous: the older snapshot and log entries. */
  async #deleteBefore(seen: Head): Promise<void> {
    const range = { prefix: logPrefix(this.room), end: logKey(this.room, seen.seq + 1) };
    const keys: Deno.KvKey[] = [];
    for await (const { key, value } of this.kv.list<Uint8Array | BlobRef>(range)) {
      keys.push(key);
      if (!(value instanceof Uint8Array)) await deleteBlob(this.kv, this.room, value);
    }
    await deleteKeys(this.kv, keys);
    if (seen.snapshot !== null) await deleteBlob(this.kv, this.room, seen.snapshot);
  }
}

function weigh(value: unknown): number {
  return value instanceof Uint8Array ? value.length : 256;
}

/** The head of a room that nobody has written yet. */
function emptyHead(): Head {
  return { id: crypto.randomUUID(), seq: 0, snapshot: null, entries: 0, bytes: 0 };
}
