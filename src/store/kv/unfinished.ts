import {
  type DeletableRecord,
  ownedKey,
  pendingKey,
  recordKey,
  roomsOfKey,
} from "./access_layout.ts";
import { chunkCount, chunkKeys } from "./blobs.ts";
import { deleteKeys } from "./delete_keys.ts";
import {
  type BlobRef,
  headKey,
  logKey,
  logPrefix,
  roomPrefix,
  roomUnfinishedPrefix,
  type Unfinished,
  unseal,
} from "./layout.ts";

/** How many values are read at once to learn their keys: chunks of 60 KiB are among them. */
const KEYS_PER_READ = 100;

/**
 * Finishes what was begun in a room. Any number of instances may do so together, and each may stop
 * anywhere: every commit checks that it is still to be done, so nothing goes that came later.
 */
export async function finish(kv: Deno.Kv, begun: Deno.KvEntry<Unfinished>): Promise<void> {
  const [, room, id] = begun.key as string[];
  switch (begun.value.what) {
    case "blob":
      await deleteKeys(kv, chunkKeys(room!, id!, begun.value.chunks), begun);
      break;
    case "log":
      await deleteKeys(kv, await entriesUpTo(kv, room!, begun.value.upTo), begun);
      break;
    case "room":
      return await finishRoom(kv, begun, room!);
  }
  await kv.atomic().check(begun).delete(begun.key).commit();
}

async function finishRoom(
  kv: Deno.Kv,
  begun: Deno.KvEntry<Unfinished>,
  room: string,
): Promise<void> {
  const isBegun = (key: Deno.KvKey) => key.at(-1) === begun.key.at(-1);
  const others = await keysUnder(kv, roomUnfinishedPrefix(room));
  // These first: who is still writing a blob must not add to it when its chunks are gone.
  await deleteKeys(kv, others.filter((key) => !isBegun(key)), begun);
  const keys = await keysUnder(kv, roomPrefix(room));
  await deleteKeys(kv, keys.filter((key) => key[2] !== "head"), begun);
  await deleteKeys(kv, await accessKeys(kv, room), begun);
  while (!await forgetRoom(kv, begun, room));
}

/** The access to a room that is being deleted, but for its record: each key, and where members list it. */
async function accessKeys(kv: Deno.Kv, room: string): Promise<Deno.KvKey[]> {
  const { value: record } = await kv.get<DeletableRecord>(recordKey(room));
  if (!record?.deleting) return [];
  const keys = await keysUnder(kv, recordKey(room));
  const members = keys.filter((key) => key[2] === "member").map((key) => String(key.at(-1)));
  return [...members.flatMap((did) => [roomsOfKey(did, room), pendingKey(did, room)]), ...keys];
}

/**
 * Removes the last of a room, or finds that somebody else has. Its head and its record stand till
 * then, for whoever finds none may begin the room anew. Returns false if it is to be tried again.
 */
async function forgetRoom(
  kv: Deno.Kv,
  begun: Deno.KvEntry<Unfinished>,
  room: string,
): Promise<boolean> {
  const commit = kv.atomic().check(begun).delete(headKey(room)).delete(begun.key);
  const { value: record } = await kv.get<DeletableRecord>(recordKey(room));
  if (record?.deleting) {
    const owned = await kv.get<number>(ownedKey(record.owner));
    const left = (owned.value ?? 0) - 1;
    commit.check(owned).delete(recordKey(room)).delete(roomsOfKey(record.owner, room));
    if (left > 0) commit.set(owned.key, left);
    else commit.delete(owned.key);
  }
  if ((await commit.commit()).ok) return true;
  return (await kv.get(begun.key)).versionstamp !== begun.versionstamp;
}

/** A snapshot holds these log entries: their keys, and those of their blobs' chunks. */
async function entriesUpTo(kv: Deno.Kv, room: string, seq: number): Promise<Deno.KvKey[]> {
  const keys: Deno.KvKey[] = [];
  const range = { prefix: logPrefix(room), end: logKey(room, seq + 1) };
  for await (const { key, value } of kv.list(range)) {
    const entry = unseal<BlobRef>(value);
    if (entry !== null && !(entry instanceof Uint8Array)) {
      keys.push(...chunkKeys(room, entry.blob, chunkCount(entry.bytes)));
    }
    keys.push(key);
  }
  return keys;
}

async function keysUnder(kv: Deno.Kv, prefix: Deno.KvKey): Promise<Deno.KvKey[]> {
  const keys: Deno.KvKey[] = [];
  for await (const { key } of kv.list({ prefix }, { batchSize: KEYS_PER_READ })) keys.push(key);
  return keys;
}
