import { keyBytes } from "./key_bytes.ts";

/** One atomic takes 1,000 mutations: https://docs.deno.com/deploy/kv/manual/. */
const MUTATIONS_PER_COMMIT = 1_000;

/** KV allows 819,200 bytes in one atomic: a thousand keys of two long names have more. The rest is for checks. */
const BYTES_PER_COMMIT = 700_000;

/** Deletes keys, many to a commit, and stops at the first commit whose checks fail. */
export async function deleteKeys(
  kv: Deno.Kv,
  keys: Deno.KvKey[],
  ...checks: Deno.AtomicCheck[]
): Promise<void> {
  for (let next = 0; next < keys.length;) {
    const commit = kv.atomic().check(...checks);
    const end = Math.min(keys.length, next + MUTATIONS_PER_COMMIT);
    for (let bytes = 0; next < end; next++) {
      bytes += keyBytes(keys[next]!);
      if (bytes > BYTES_PER_COMMIT) break;
      commit.delete(keys[next]!);
    }
    if (!(await commit.commit()).ok) return;
  }
}
