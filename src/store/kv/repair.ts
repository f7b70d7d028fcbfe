import { readBlob, writeBlob } from "./blobs.ts";
import { deleteKeys } from "./delete_keys.ts";
import type { Examination } from "./examine.ts";
import {
  asidePrefix,
  type Head,
  roomPrefix,
  sealRecord,
  type Unfinished,
  unfinishedBlobKey,
  unfinishedLogKey,
  unsealHead,
} from "./layout.ts";
import { finish } from "./unfinished.ts";

/** KV takes 819,200 bytes in one atomic, and values of 64 KiB: one more fits after so many. */
const BYTES_PER_COMMIT = 600_000;

/** The room was changed while it was repaired. Nothing has happened to it. */
export class RoomChangedError extends Error {
  override readonly name = "RoomChangedError";
}

/**
 * Puts a snapshot in the place of everything that lies in the store for a room, and what lay there
 * aside: under `["room", name, "aside", time]`, until the room is deleted. Instances that have the
 * room open have to read it anew. `now` is in ms since the Unix epoch.
 * @throws {RoomChangedError}
 */
export async function repair(
  kv: Deno.Kv,
  { room, head, seq }: Examination,
  snapshot: Uint8Array,
  now: number,
): Promise<void> {
  const aside = [...asidePrefix(room), new Date(now).toISOString()];
  const replaced = await copyAside(kv, room, aside);
  const { ref, unfinished } = await writeBlob(kv, room, snapshot, now);
  if (await readBlob(kv, room, ref) === null) {
    throw new Error("the new snapshot did not read back as it was written: nothing was repaired");
  }
  const id = unsealHead(head.value)?.id ?? crypto.randomUUID();
  const next: Head = { id, seq, snapshot: { ...ref, seq }, entries: 0, bytes: 0, repaired: now };
  const begun = whatGoes(room, replaced, seq, now);
  const commit = kv.atomic().check(head, unfinished);
  commit.set(head.key, sealRecord(next)).delete(unfinished.key);
  for (const { key, value } of begun) commit.set(key, value);
  const result = await commit.commit();
  if (!result.ok) {
    await deleteKeys(kv, replaced.map((key) => [...aside, ...key.slice(2)]));
    throw new RoomChangedError("it was changed meanwhile, and nothing was repaired: try again");
  }
  const { versionstamp } = result;
  for (const { key, value } of begun) await finish(kv, { key, value, versionstamp });
}

/** Returns the keys of what was copied. */
async function copyAside(kv: Deno.Kv, room: string, aside: Deno.KvKey): Promise<Deno.KvKey[]> {
  const copied: Deno.KvKey[] = [];
  let [commit, bytes] = [kv.atomic(), 0];
  for await (const { key, value } of kv.list<Uint8Array>({ prefix: roomPrefix(room) })) {
    if (key[2] === "aside") continue;
    commit.set([...aside, ...key.slice(2)], value);
    copied.push(key);
    bytes += value.length;
    if (bytes < BYTES_PER_COMMIT) continue;
    await commit.commit();
    [commit, bytes] = [kv.atomic(), 0];
  }
  await commit.commit();
  return copied;
}

/** The log and the blobs that the new snapshot replaces. */
function whatGoes(room: string, replaced: Deno.KvKey[], seq: number, since: number) {
  const chunks = new Map<string, number>();
  for (const [, , kind, id, n] of replaced) {
    if (kind === "blob") {
      chunks.set(String(id), Math.max(chunks.get(String(id)) ?? 0, Number(n) + 1));
    }
  }
  const log: Unfinished = { what: "log", since, upTo: seq };
  return [
    { key: unfinishedLogKey(room), value: log },
    ...[...chunks].map(([id, count]): { key: Deno.KvKey; value: Unfinished } => ({
      key: unfinishedBlobKey(room, id),
      value: { what: "blob", since, chunks: count },
    })),
  ];
}
