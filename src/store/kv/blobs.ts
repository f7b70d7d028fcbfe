import { createHash } from "node:crypto";
import {
  blobPrefix,
  type BlobRef,
  CHUNK_BYTES,
  chunkKey,
  type Unfinished,
  unfinishedBlobKey,
} from "./layout.ts";

/** Chunks in one atomic: 12 x 60 KiB stays below KV's 819,200 bytes for one commit. */
const CHUNKS_PER_COMMIT = 12;

/** A blob that is written, and that nothing refers to yet. */
export interface LooseBlob {
  ref: BlobRef;
  /** It is unfinished. The commit that refers to it checks this and deletes it, or may come too late. */
  unfinished: Deno.KvEntry<Unfinished>;
}

/**
 * Writes bytes as chunks. They cannot be reached until a commit refers to them, so a crash in between
 * leaves what a sweep takes away, never a torn document. `now` is in ms since the Unix epoch.
 * @throws when a sweep has taken it for something that a crash has left.
 */
export async function writeBlob(
  kv: Deno.Kv,
  room: string,
  bytes: Uint8Array,
  now: number,
): Promise<LooseBlob> {
  const blob = crypto.randomUUID();
  const chunks = chunkCount(bytes.length);
  const key = unfinishedBlobKey(room, blob);
  const value: Unfinished = { what: "blob", since: now, chunks };
  let versionstamp: string | null = null;
  for (let first = 0; versionstamp === null || first < chunks; first += CHUNKS_PER_COMMIT) {
    const commit = kv.atomic().check({ key, versionstamp });
    if (first === 0) commit.set(key, value);
    for (let n = first; n < Math.min(first + CHUNKS_PER_COMMIT, chunks); n++) {
      commit.set(chunkKey(room, blob, n), bytes.slice(n * CHUNK_BYTES, (n + 1) * CHUNK_BYTES));
    }
    const result = await commit.commit();
    if (!result.ok) {
      throw new Error(`a blob of ${JSON.stringify(room)} was swept away half-written`);
    }
    versionstamp ??= result.versionstamp;
  }
  const ref = { blob, bytes: bytes.length, sha256: sha256(bytes) };
  return { ref, unfinished: { key, value, versionstamp } };
}

/** Reads a blob, or null when its bytes are not the ones that were written. */
export async function readBlob(
  kv: Deno.Kv,
  room: string,
  ref: BlobRef,
): Promise<Uint8Array | null> {
  const bytes = new Uint8Array(ref.bytes);
  let filled = 0;
  for await (const { value } of kv.list<Uint8Array>({ prefix: blobPrefix(room, ref.blob) })) {
    if (!(value instanceof Uint8Array) || filled + value.length > bytes.length) return null;
    bytes.set(value, filled);
    filled += value.length;
  }
  return filled === bytes.length && sha256(bytes) === ref.sha256 ? bytes : null;
}

/** How many chunks a blob of so many bytes has. */
export function chunkCount(bytes: number): number {
  return Math.ceil(bytes / CHUNK_BYTES);
}

/** The keys of a blob's chunks. */
export function chunkKeys(room: string, blob: string, chunks: number): Deno.KvKey[] {
  return Array.from({ length: chunks }, (_, n) => chunkKey(room, blob, n));
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
