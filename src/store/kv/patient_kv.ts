import { callThrough } from "./call_through.ts";

/** How often a write to a locked file is tried again, and how long to wait at most before, in ms. */
const TRIES = 20;
const LONGEST_WAIT = 20;

/**
 * A KV store whose writes wait for a file that another thread or process has locked. SQLite has one
 * writer at a time, and KV gives up at once on who comes second; nothing of its write has happened then.
 */
export function patientKv(kv: Deno.Kv): Deno.Kv {
  const writes = { kv, around: patiently };
  const others = { kv, around: <T>(call: () => Promise<T>) => call() };
  return callThrough(kv, (method) => WRITES.has(method) ? writes : others);
}

const WRITES = new Set<PropertyKey>(["set", "delete", "atomic"]);

async function patiently<T>(write: () => Promise<T>): Promise<T> {
  for (let tries = 1; tries < TRIES; tries++) {
    try {
      return await write();
    } catch (error) {
      if (!(error instanceof Error) || !error.message.includes("database is locked")) throw error;
      // At random, or two who met once would meet again.
      await new Promise((resolve) => setTimeout(resolve, Math.random() * LONGEST_WAIT));
    }
  }
  return await write();
}
