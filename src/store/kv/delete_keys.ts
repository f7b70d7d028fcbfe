/** One atomic takes 1,000 mutations: https://docs.deno.com/deploy/kv/manual/. */
const MUTATIONS_PER_COMMIT = 1_000;

/** Deletes keys, many to a commit, and stops at the first commit whose checks fail. */
export async function deleteKeys(
  kv: Deno.Kv,
  keys: Deno.KvKey[],
  ...checks: Deno.AtomicCheck[]
): Promise<void> {
  for (let first = 0; first < keys.length; first += MUTATIONS_PER_COMMIT) {
    const commit = kv.atomic().check(...checks);
    for (const key of keys.slice(first, first + MUTATIONS_PER_COMMIT)) commit.delete(key);
    if (!(await commit.commit()).ok) return;
  }
}
