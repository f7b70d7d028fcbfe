import type { Clock } from "../../clock.ts";

/** KV watches at most 10 keys a call: https://docs.deno.com/api/deno/~/Deno.Kv.prototype.watch. */
const KEYS_PER_WATCH = 10;

/** How long to wait before a watch that broke is tried again, in ms: a store that restarts takes seconds. */
const RETRY = 1_000;

/** What to do with what is seen. */
export interface Follower<T> {
  onValue(key: Deno.KvKey, value: T): void;
  onError(error: unknown): void;
}

/**
 * Watches keys for as long as it is not stopped: their values now, and each time that they change.
 * Values in between may be missed. Returns a function that stops it.
 */
export function follow<T>(
  kv: Deno.Kv,
  clock: Clock,
  keys: Deno.KvKey[],
  follower: Follower<T>,
): () => void {
  const stops: (() => void)[] = [];
  for (let first = 0; first < keys.length; first += KEYS_PER_WATCH) {
    stops.push(followSome(kv, clock, keys.slice(first, first + KEYS_PER_WATCH), follower));
  }
  return () => stops.forEach((stop) => stop());
}

function followSome<T>(
  kv: Deno.Kv,
  clock: Clock,
  keys: Deno.KvKey[],
  { onValue, onError }: Follower<T>,
): () => void {
  let stopped = false;
  let cancel = () => {};
  const versions = new Map<string, string>();

  async function run(): Promise<void> {
    try {
      const reader = kv.watch<T[]>(keys).getReader();
      cancel = () => void reader.cancel().catch(() => {});
      for (;;) {
        const { done, value } = await reader.read();
        if (done || stopped) break;
        for (const entry of value) {
          const name = JSON.stringify(entry.key);
          if (entry.versionstamp === null || versions.get(name) === entry.versionstamp) continue;
          versions.set(name, entry.versionstamp);
          onValue(entry.key, entry.value);
        }
      }
    } catch (error) {
      if (!stopped) onError(error);
    }
    if (!stopped) cancel = clock.after(RETRY, () => void run());
  }

  run();
  return () => {
    stopped = true;
    cancel();
  };
}
