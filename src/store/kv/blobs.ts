import { createHash } from "node:crypto";
import { blobPrefix, type BlobRef, CHUNK_BYTES, chunkKey } from "./layout.ts";

/** Chunks in one atomic: 12 x 60 KiB stays below KV's 819,200 bytes for one commit. */
const CHUNKS_PER_COMMIT = 12;

/**
 * Writes bytes as chunks. They cannot be reached until the caller commits the reference, so a crash
 * in between leaves garbage, never a torn document.
 */
export async function writeBlob(kv: Deno.Kv, room: string, bytes: Uint8Array): Promise<BlobRef> {
  const blob = crypto.randomUUID();
  const chunks = Math.ceil(bytes.length / CHUNK_BYTES);
  for (let first = 0; first < chunks; first += CHUNKS_PER_COMMIT) {
    const commit = kv.atomic();
    const end = Math.min(first + CHUNKS_PER_COMMIT, chunks);
    for (let n = first; n < end; n++) {
      commit.set(chunkKey(room, blob, n), bytes.slice(n * CHUNK_BYTES, (n + 1) * CHUNK_BYTES));
    }
    await commit.commit();
  }
  return { blob, bytes: bytes.length, sha256: sha256(bytes) };
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

/** Deletes a blob's chunks. */
export async function deleteBlob(kv: Deno.Kv, room: string, ref: BlobRef): Promise<void> {
  const keys = Array.from(
    { length: Math.ceil(ref.bytes / CHUNK_BYTES) },
    (_, n) => chunkKey(room, ref.blob, n),
  );
  await deleteKeys(kv, keys);
}

/** One atomic takes 1,000 mutations: https://docs.deno.com/deploy/kv/manual/. */
const MUTATIONS_PER_COMMIT = 1_000;

/** Deletes keys, many to a commit. */
export async function deleteKeys(kv: Deno.Kv, keys: Deno.KvKey[]): Promise<void> {
  for (let first = 0; first < keys.length; first += MUTATIONS_PER_COMMIT) {
    const commit = kv.atomic();
    for (const key of keys.slice(first, first + MUTATIONS_PER_COMMIT)) commit.delete(key);
    await commit.commit();
  }
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
