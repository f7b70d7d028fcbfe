/**
 * How a room lies in Deno KV. A room's keys share one prefix, so deleting it is deleting a prefix.
 *
 * - `["room", name, "head"]` -> {@linkcode Head}; every append and every compaction checks its versionstamp
 * - `["room", name, "log", seq]` -> one update: sealed bytes, or a {@linkcode BlobRef} when it is too large
 * - `["room", name, "blob", id, n]` -> chunk `n` of a blob
 */
import { crc32 } from "node:zlib";

/** Where a room's log ends, and what it starts from. */
export interface Head {
  /** Number of the last log entry; the first is 1. */
  seq: number;
  snapshot: Snapshot | null;
  /** Updates after the snapshot, and their bytes. */
  entries: number;
  bytes: number;
}

/** The document as it was after log entry `seq`. */
export interface Snapshot extends BlobRef {
  seq: number;
}

/** Bytes that lie in chunks because one value cannot hold them. */
export interface BlobRef {
  blob: string;
  bytes: number;
  /** Hex. A blob is trusted only when it hashes to this. */
  sha256: string;
}

/** The head of a room that nobody has written yet. */
export const EMPTY_HEAD: Head = { seq: 0, snapshot: null, entries: 0, bytes: 0 };

/** A KV value ends at 65,536 bytes: https://docs.deno.com/deploy/kv/manual/. The rest is for KV's own framing. */
export const CHUNK_BYTES = 60 * 1024;

export const headKey = (room: string): Deno.KvKey => ["room", room, "head"];
export const logPrefix = (room: string): Deno.KvKey => ["room", room, "log"];
export const logKey = (room: string, seq: number): Deno.KvKey => ["room", room, "log", seq];
export const blobPrefix = (room: string, id: string): Deno.KvKey => ["room", room, "blob", id];
export const chunkKey = (room: string, id: string, n: number): Deno.KvKey => [
  "room",
  room,
  "blob",
  id,
  n,
];

const CRC_BYTES = 4;

/** The most bytes that one log entry holds by itself. */
export const INLINE_BYTES = CHUNK_BYTES - CRC_BYTES;

/** Puts a checksum in front of the bytes: 0.1 us, against 2.5 us for a SHA-256, on every edit. */
export function seal(bytes: Uint8Array): Uint8Array {
  const sealed = new Uint8Array(CRC_BYTES + bytes.length);
  new DataView(sealed.buffer).setUint32(0, crc32(bytes));
  sealed.set(bytes, CRC_BYTES);
  return sealed;
}

/** The bytes behind the checksum, or null when they are not the ones that were sealed. */
export function unseal(sealed: Uint8Array): Uint8Array | null {
  if (sealed.length < CRC_BYTES) return null;
  const bytes = sealed.subarray(CRC_BYTES);
  const expected = new DataView(sealed.buffer, sealed.byteOffset).getUint32(0);
  return crc32(bytes) === expected ? bytes : null;
}
