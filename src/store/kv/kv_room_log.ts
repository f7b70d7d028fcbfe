import {
  DamagedRoomError,
  type LogSize,
  type Premise,
  PremiseError,
  RoomDeletedError,
  type RoomLog,
} from "../room_store.ts";
import type { Clock } from "../../clock.ts";
import { chunkCount, type LooseBlob, readBlob, writeBlob } from "./blobs.ts";
import type { RoomChange } from "./feed.ts";
import type { GroupCommit } from "./group_commit.ts";
import {
  type BlobRef,
  emptyHead,
  type Head,
  headKey,
  INLINE_BYTES,
  logKey,
  logPrefix,
  seal,
  sealRecord,
  type Snapshot,
  type Unfinished,
  unfinishedBlobKey,
  unfinishedLogKey,
  unseal,
  unsealHead,
} from "./layout.ts";
import { finish } from "./unfinished.ts";

/** How often a read starts over because a compaction pulled the log away under it. */
const MAX_READS = 10;

/** What a commit of the head brings along. */
interface Changes {
  checks: Deno.AtomicCheck[];
  sets: { key: Deno.KvKey; value: unknown }[];
}

/** One room's log in Deno KV. Its view of the head is what `append` and `compact` check against. */
export class KvRoomLog implements RoomLog {
  #head: Head = emptyHead();
  /** Of the head; null for a room that nobody has written, undefined before the first look. */
  #versionstamp: string | null | undefined;
  /** Kept here, and not on the way, so that a failure between reading and handing out loses nothing. */
  #read: Uint8Array[] = [];
  /** One change of the head at a time: an append and a compaction of ours must not refute each other. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly kv: Deno.Kv,
    private readonly committer: GroupCommit<RoomChange>,
    private readonly room: string,
    private readonly clock: Clock,
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

  append(update: Uint8Array, premise?: Premise): Promise<Uint8Array[]> {
    const premises = premise === undefined ? [] : [premise];
    return this.#inTurn(async () => {
      if (update.length <= INLINE_BYTES) await this.#append(update, premises);
      else await this.#appendBlob(await this.#writeBlob(update), premises);
      return this.#handOut();
    });
  }

  async compact(snapshot: Uint8Array): Promise<boolean> {
    // A view that failed on the way may have read more than it could hand out.
    if (this.#read.length > 0) return false;
    const seen = this.#head;
    const blob = await this.#writeBlob(snapshot);
    // What was read back is what the next start will read: only then may the old go.
    if (await readBlob(this.kv, this.room, blob.ref) === null) {
      throw this.#damaged("a new snapshot did not read back as it was written");
    }
    const replaced = await this.#inTurn(() => this.#swapSnapshot(blob, seen));
    for (const begun of replaced ?? [blob.unfinished]) await finish(this.kv, begun);
    return replaced !== null;
  }

  #inTurn<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(task);
    this.#turn = result.catch(() => {});
    return result;
  }

  #writeBlob(bytes: Uint8Array): Promise<LooseBlob> {
    return writeBlob(this.kv, this.room, bytes, this.clock.now());
  }

  async #append(update: Uint8Array, premises: Premise[]): Promise<void> {
    const entry = seal(update);
    const also = { checks: premises, sets: [] };
    while (!await this.#commitEntry(entry, update.length, also)) await this.#goOn(premises);
  }

  async #appendBlob({ ref, unfinished }: LooseBlob, premises: Premise[]): Promise<void> {
    const entry = sealRecord(ref);
    const { checks, sets } = adopt(unfinished);
    const also = { checks: [...checks, ...premises], sets };
    while (!await this.#commitEntry(entry, ref.bytes, also)) {
      await this.#goOn(premises);
      const { versionstamp } = await this.kv.get(unfinished.key);
      if (versionstamp === unfinished.versionstamp) continue;
      throw new Error(`an update of ${JSON.stringify(this.room)} was swept away before its commit`);
    }
  }

  /** A commit was refuted: catches up with the head, if that is all. @throws {PremiseError} */
  async #goOn(premises: Premise[]): Promise<void> {
    for (const { key, versionstamp } of premises) {
      const now = await this.kv.get(key);
      if (now.versionstamp !== versionstamp) throw new PremiseError(this.room);
    }
    await this.#pull();
  }

  /** Whether the entry is in. If not, the head has moved, or something else that was checked. */
  async #commitEntry(entry: Uint8Array, bytes: number, also: Changes): Promise<boolean> {
    const seq = this.#head.seq + 1;
    const head = {
      ...this.#head,
      seq,
      entries: this.#head.entries + 1,
      bytes: this.#head.bytes + bytes,
    };
    const sets = [{ key: logKey(this.room, seq), value: entry }, ...also.sets];
    return await this.#commitHead(head, { ...also, sets });
  }

  /** What is now to be deleted; null when somebody else was there first. */
  async #swapSnapshot(blob: LooseBlob, seen: Head): Promise<Deno.KvEntry<Unfinished>[] | null> {
    if (this.#head.snapshot?.blob !== seen.snapshot?.blob) return null;
    const snapshot: Snapshot = { ...blob.ref, seq: seen.seq };
    const entries = this.#head.entries - seen.entries;
    const replaced = this.#replacedBy(seen);
    const { checks, sets } = adopt(blob.unfinished);
    const swapped = await this.#commitHead(
      { ...this.#head, snapshot, entries, bytes: this.#head.bytes - seen.bytes },
      { checks, sets: [...sets, ...replaced] },
    );
    if (!swapped) return null;
    return replaced.map((begun) => ({ ...begun, versionstamp: this.#versionstamp! }));
  }

  /** What a snapshot at `seen.seq` makes superfluous. */
  #replacedBy(seen: Head): { key: Deno.KvKey; value: Unfinished }[] {
    const since = this.clock.now();
    const log = {
      key: unfinishedLogKey(this.room),
      value: { what: "log" as const, since, upTo: seen.seq },
    };
    if (seen.snapshot === null) return [log];
    const { blob, bytes } = seen.snapshot;
    const key = unfinishedBlobKey(this.room, blob);
    return [log, { key, value: { what: "blob", since, chunks: chunkCount(bytes) } }];
  }

  async #commitHead(head: Head, { checks, sets }: Changes): Promise<boolean> {
    const key = headKey(this.room);
    const versionstamp = await this.committer.commit({
      subject: this.room,
      what: "log",
      checks: [{ key, versionstamp: this.#versionstamp ?? null }, ...checks],
      sets: [{ key, value: sealRecord(head) }, ...sets],
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
      const entry = await this.kv.get(headKey(this.room));
      if (entry.versionstamp === this.#versionstamp) return;
      const head = this.#checkHead(entry);
      const result = entry.value === null
        ? await this.#readNothing()
        : await this.#readLog(head, since);
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

  /** The head as it is now, if this view can go on with it. */
  #checkHead({ value }: Deno.KvEntryMaybe<unknown>): Head {
    const isNew = (this.#versionstamp ?? null) === null;
    if (value === null && isNew) return this.#head;
    if (value === null) throw new RoomDeletedError(this.room);
    const head = unsealHead(value);
    if (head === null) throw this.#damaged("its head");
    if (!isNew && head.repaired !== this.#head.repaired) {
      throw this.#damaged("it was repaired while it was open, and has to be read anew");
    }
    const replaced = !isNew && head.id !== this.#head.id;
    if (replaced || head.deleting) throw new RoomDeletedError(this.room);
    return head;
  }

  /** There is no head: either nobody has written the room, or what was written must not be written over. */
  async #readNothing(): Promise<Uint8Array[] | DamagedRoomError> {
    const entries = this.kv.list({ prefix: logPrefix(this.room) }, { limit: 1 });
    for await (const _ of entries) return this.#damaged("its head is missing");
    return [];
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
    for await (const { key, value } of this.kv.list(range)) {
      if (key.at(-1) !== ++seq) return this.#damaged(`log entry ${seq} is missing`);
      const entry = unseal<BlobRef>(value);
      const update = entry === null || entry instanceof Uint8Array
        ? entry
        : await readBlob(this.kv, this.room, entry);
      if (update === null) return this.#damaged(`log entry ${seq}`);
      updates.push(update);
    }
    return seq === head.seq ? updates : this.#damaged(`log entry ${seq + 1} is missing`);
  }

  #damaged(what: string): DamagedRoomError {
    return new DamagedRoomError(this.room, what);
  }
}

/** Who refers to a blob takes it out of what is unfinished, unless a sweep was there first. */
function adopt(unfinished: Deno.KvEntry<Unfinished>): Changes {
  return { checks: [unfinished], sets: [{ key: unfinished.key, value: undefined }] };
}

function weigh(value: unknown): number {
  return value instanceof Uint8Array ? value.length : 256;
}
