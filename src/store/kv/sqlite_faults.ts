import type { StoreFault } from "../errors.ts";

/**
 * SQLite's texts, and what they mean for us (https://www.sqlite.org/rescode.html). Deno KV passes them
 * on as a `TypeError`, as it does with mistakes of the caller.
 */
const FAULTS: [text: string, StoreFault][] = [
  ["database or disk is full", "full"],
  ["attempt to write a readonly database", "read-only"],
  ["Can not write to a read-only database", "read-only"],
  ["database disk image is malformed", "damaged"],
  ["file is not a database", "damaged"],
  ["disk I/O error", "failing"],
  ["unable to open database file", "failing"],
  ["access permission denied", "failing"],
  ["database is locked", "failing"],
  ["database table is locked", "failing"],
  ["locking protocol", "failing"],
  ["out of memory", "failing"],
  ["Database is closed", "failing"],
];

/** What is wrong with the store by what SQLite said; null where it said nothing. */
export function faultIn(error: unknown): StoreFault | null {
  const text = error instanceof Error ? error.message : "";
  return FAULTS.find(([said]) => text.includes(said))?.[1] ?? null;
}
