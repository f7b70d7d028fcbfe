import { readBlob } from "./blobs.ts";
import { children } from "./children.ts";
import {
  type BlobRef,
  blobsPrefix,
  type Head,
  headKey,
  logPrefix,
  unfinishedBlobKey,
  unseal,
  unsealHead,
} from "./layout.ts";

/** How often an examination starts over because the room was changed under it. */
const MAX_LOOKS = 10;

/** What lies in the store for one room. */
export interface Examination {
  room: string;
  head: Deno.KvEntryMaybe<unknown>;
  /** Anything lies there for the room. */
  isThere: boolean;
  /** The room is being deleted, and nothing else was looked at. */
  deleting: boolean;
  /** Number of the last log entry, by the head or, without one, by the log itself. */
  seq: number;
  /** What is readable: the snapshot, then the log entries that came after it. */
  updates: Uint8Array[];
  /** What is wrong, each in words. */
  faults: string[];
  /** Blobs that nothing refers to, and that nobody is about to write or delete. */
  strays: string[];
}

/**
 * Looks at everything that belongs to a room, and changes nothing. The service may run meanwhile.
 * @throws {Error} when the room is changed faster than it can be read.
 */
export async function examine(kv: Deno.Kv, room: string): Promise<Examination> {
  for (let looks = 0; looks < MAX_LOOKS; looks++) {
    const found = await look(kv, room);
    if (found.faults.length === 0) return found;
    // What seems to be wrong may be a change that is under way.
    const now = await kv.get(headKey(room));
    if (now.versionstamp === found.head.versionstamp) return found;
  }
  throw new Error(`room ${JSON.stringify(room)} is changed faster than it can be examined`);
}

async function look(kv: Deno.Kv, room: string): Promise<Examination> {
  const entry = await kv.get(headKey(room));
  const head = unsealHead(entry.value);
  const found: Examination = {
    room,
    head: entry,
    isThere: entry.value !== null,
    deleting: head?.deleting ?? false,
    seq: head?.seq ?? 0,
    updates: [],
    faults: [],
    strays: [],
  };
  if (found.deleting) return found;
  const blobs = await readSnapshot(kv, head, found);
  for (const blob of await readLog(kv, head, found)) blobs.add(blob);
  found.strays = await straysOf(kv, room, blobs);
  for (const blob of found.strays) found.faults.push(`nothing refers to its blob ${blob}`);
  // A room that nobody has written yet has no head, and nothing else.
  const isBegun = found.faults.length > 0 || found.updates.length > 0;
  found.isThere ||= isBegun;
  if (entry.value !== null && head === null) found.faults.unshift("its head is damaged");
  else if (entry.value === null && isBegun) found.faults.unshift("its head is missing");
  return found;
}

/** Returns the blob that it is in. */
async function readSnapshot(
  kv: Deno.Kv,
  head: Head | null,
  { room, updates, faults }: Examination,
): Promise<Set<string>> {
  if (head === null || head.snapshot === null) return new Set();
  const snapshot = await readBlob(kv, room, head.snapshot);
  if (snapshot === null) faults.push("its snapshot is damaged");
  else updates.push(snapshot);
  return new Set([head.snapshot.blob]);
}

/** Returns the blobs that large updates are in. */
async function readLog(
  kv: Deno.Kv,
  head: Head | null,
  found: Examination,
): Promise<Set<string>> {
  const { room, updates, faults } = found;
  const blobs = new Set<string>();
  let expected = (head?.snapshot?.seq ?? 0) + 1;
  for await (const { key, value } of kv.list({ prefix: logPrefix(room) })) {
    const seq = key.at(-1) as number;
    const entry = unseal<BlobRef>(value);
    if (entry !== null && !(entry instanceof Uint8Array)) blobs.add(entry.blob);
    // Before the snapshot: about to be deleted.
    if (seq < expected) continue;
    faults.push(...missing(expected, seq - 1));
    expected = seq + 1;
    if (head !== null && seq > head.seq) faults.push(`log entry ${seq} is beyond the log's end`);
    const update = entry === null || entry instanceof Uint8Array
      ? entry
      : await readBlob(kv, room, entry);
    if (update === null) faults.push(`log entry ${seq} is damaged`);
    else updates.push(update);
  }
  faults.push(...missing(expected, found.seq));
  found.seq = Math.max(found.seq, expected - 1);
  return blobs;
}

async function straysOf(kv: Deno.Kv, room: string, known: Set<string>): Promise<string[]> {
  const strays: string[] = [];
  for await (const { part, key } of children(kv, blobsPrefix(room))) {
    const blob = String(part);
    if (known.has(blob)) continue;
    if ((await kv.get(unfinishedBlobKey(room, blob))).value !== null) continue;
    // What says that it is being deleted goes after its last chunk: look once more.
    if ((await kv.get(key)).value !== null) strays.push(blob);
  }
  return strays;
}

/** Log entries that are not there. */
function missing(from: number, to: number): string[] {
  if (from > to) return [];
  return [from === to ? `log entry ${to} is missing` : `log entries ${from} to ${to} are missing`];
}
