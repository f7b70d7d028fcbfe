import { Buffer } from "node:buffer";

/**
 * KV allows 81,920 bytes of keys that are set in one atomic. The rest is for what a commit announces.
 * https://github.com/denoland/deno/blob/main/ext/kv/config.rs
 */
export const MAX_SET_KEY_BYTES = 64 * 1024;

/** What a part of a key weighs that is no string, and the framing of one that is, at most. */
const PART_BYTES = 10;

/** How many bytes a key has in KV, at most. */
export function keyBytes(key: Deno.KvKey): number {
  let bytes = 0;
  for (const part of key) {
    bytes += PART_BYTES + (typeof part === "string" ? Buffer.byteLength(part) : 0);
  }
  return bytes;
}
