/**
 * How things lie in Deno KV. A room's keys share one prefix, so deleting it is deleting a prefix.
 *
 * - `["room", name, "head"]` -> {@linkcode Head}; every append and every compaction checks its versionstamp
 * - `["room", name, "log", seq]` -> one update: sealed bytes, or a {@linkcode BlobRef} when it is too large
 * - `["room", name, "blob", id, n]` -> chunk `n` of a blob
 * - `["instances"]` -> changes whenever an instance comes or goes
 * - `["instance", id]` -> a number that grows while the instance lives
 * - `["feed", id]` -> what the instance has changed lately
 * - `["presence", id, room]` -> who is present in a room on the instance
 */
import { crc32 } from "node:zlib";

/** Where a room's log ends, and what it starts from. */
export interface Head {
  /** Tells a room from another one of the same name that was there before it. */
  id: string;
  /** Number of the last log entry; the first is 1. */
  seq: number;
  snapshot: Snapshot | null;
  /** Updates after the snapshot, and their bytes. */
  entries: number;
  bytes: number;
  /** The room is being deleted: its other keys go first. */
  deleting?: true;
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

/** A KV value ends at 65,536 bytes: https://docs.deno.com/deploy/kv/manual/. The rest is for KV's own framing. */
export const CHUNK_BYTES = 60 * 1024;

export const roomsPrefix: Deno.KvKey = ["room"];
export const roomPrefix = (room: string): Deno.KvKey => ["room", room];
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
export const instancesKey: Deno.KvKey = ["instances"];
export const instancePrefix: Deno.KvKey = ["instance"];
export const instanceKey = (id: string): Deno.KvKey => ["instance", id];
export const feedKey = (id: string): Deno.KvKey => ["feed", id];
export const presencePrefix = (id: string): Deno.KvKey => ["presence", id];
export const presenceKey = (id: string, room: string): Deno.KvKey => ["presence", id, room];

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
