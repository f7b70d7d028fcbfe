import { faultIn } from "./sqlite_faults.ts";

/** Up to this size, in bytes, a file is checked whole before it is served: 0.2 s, or 3 s from a slow disk. */
const WHOLE_CHECK_BYTES = 256 * 1024 * 1024;

/** Findings that are told of one file. */
const MAX_FINDINGS = 5;

/**
 * What is wrong with a database file, in SQLite's words; none for one that is well, or not there.
 * To be called before `Deno.openKv`, which ends the whole process if its tables cannot be read.
 * @param whole Also look at a large file from end to end.
 */
export async function findDamage(path: string, whole = false): Promise<string[]> {
  const size = await Deno.stat(path).then(({ size }) => size, () => 0);
  if (size === 0) return [];
  const { DatabaseSync } = await import("node:sqlite");
  try {
    const database = new DatabaseSync(path, { readOnly: true });
    try {
      if (whole || size <= WHOLE_CHECK_BYTES) return check(database, "pragma quick_check");
      // What Deno KV reads by itself, all the time.
      for (const table of ["queue", "queue_running", "data_version"]) {
        const damage = check(database, `pragma quick_check(${table})`);
        if (damage.length > 0) return damage;
      }
      return [];
    } finally {
      database.close();
    }
  } catch (error) {
    // Whatever else there is, such as a missing permission, opening the store will tell.
    return faultIn(error) === "damaged" ? [(error as Error).message] : [];
  }
}

function check(
  database: { prepare(sql: string): { all(): Record<string, unknown>[] } },
  pragma: string,
): string[] {
  const found = database.prepare(pragma).all().map((row) => String(Object.values(row)[0]));
  return found[0] === "ok" ? [] : found.slice(0, MAX_FINDINGS);
}
