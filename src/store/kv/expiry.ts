import { getLogger } from "@logtape/logtape";
import type { Clock } from "../../clock.ts";
import { levelOf } from "../errors.ts";

const logger = getLogger(["tessera", "store"]);

/** How often expired keys are deleted, in ms. Whoever reads one before that looks at its age. */
const PERIOD = 60_000;

/** KV reads at most 10 keys a call: https://docs.deno.com/deploy/kv/manual/. */
const KEYS_PER_READ = 10;

const expiryPrefix = ["expires"];

/** Sorted by time. Written together with its key, it has the same versionstamp until the key is written again. */
const expiryKey = (at: number, key: Deno.KvKey): Deno.KvKey => [...expiryPrefix, at, ...key];

/**
 * A KV store in a file, whose expiring keys are deleted by {@linkcode keepExpiring}. The embedded KV
 * would do so by itself, but ends the whole process when such a deletion fails, as it does a minute after
 * the disk has become full (`collect_expired` in denokv_sqlite 0.14).
 */
export function expiringKv(kv: Deno.Kv, now: () => number = Date.now): Deno.Kv {
  const atomic = () => {
    const operation = kv.atomic();
    const set = operation.set.bind(operation);
    return Object.assign(operation, {
      set(key: Deno.KvKey, value: unknown, { expireIn }: { expireIn?: number } = {}) {
        if (expireIn !== undefined) set(expiryKey(now() + expireIn, key), 0);
        return set(key, value);
      },
    });
  };
  const set: Deno.Kv["set"] = async (key, value, options) =>
    await atomic().set(key, value, options).commit() as Deno.KvCommitResult;
  return new Proxy(kv, {
    get(target, name) {
      if (name === "atomic") return atomic;
      if (name === "set") return set;
      const member = Reflect.get(target, name);
      return typeof member === "function" ? member.bind(target) : member;
    },
  });
}

/** Deletes the keys that have expired by `now`, in ms since the Unix epoch, unless they were written again. */
export async function deleteExpired(kv: Deno.Kv, now: number): Promise<void> {
  let due: Deno.KvEntry<unknown>[] = [];
  for await (const entry of kv.list({ prefix: expiryPrefix, end: [...expiryPrefix, now] })) {
    due.push(entry);
    if (due.length < KEYS_PER_READ) continue;
    await deleteSome(kv, due);
    due = [];
  }
  if (due.length > 0) await deleteSome(kv, due);
}

async function deleteSome(kv: Deno.Kv, due: Deno.KvEntry<unknown>[]): Promise<void> {
  const found = await kv.getMany(due.map(({ key }) => key.slice(2)));
  const atomic = kv.atomic();
  found.forEach((entry, n) => {
    atomic.delete(due[n]!.key);
    if (entry.versionstamp === due[n]!.versionstamp) atomic.check(entry).delete(entry.key);
  });
  await atomic.commit(); // if one was written again just now, the next round sees to the others
}

/** Deletes expired keys now and then. Returns a function that stops it. */
export function keepExpiring(kv: Deno.Kv, clock: Clock): () => void {
  let stop = () => {};
  const wait = () => {
    stop = clock.after(PERIOD, () => {
      wait();
      deleteExpired(kv, clock.now()).catch((error) =>
        logger[levelOf(error)]("expired keys could not be deleted: {error}", { error })
      );
    });
  };
  wait();
  return () => stop();
}
