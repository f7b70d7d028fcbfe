import { dirname, resolve } from "node:path";
import { faultIn } from "./sqlite_faults.ts";
import { findDamage } from "./database_file.ts";
import { expiringKv } from "./expiry.ts";
import { patientKv } from "./patient_kv.ts";
import { spreadKv } from "./spread_kv.ts";

/** Connections to a KV server: of twice as many, half stood idle with a hundred edits a second. */
const CONNECTIONS = 16;

/** How long a KV server may take to answer for the first time, in ms. */
const FIRST_ANSWER_MS = 10_000;

/** Where a store is made when nobody says where. Only of this path is the folder made. */
export const DEFAULT_KV_PATH = "./data/tessera.sqlite3";

/** A store that cannot be opened. The message says what to do. */
export class StoreUnavailableError extends Error {
  override readonly name = "StoreUnavailableError";
}

/**
 * Opens a KV store: a file (made when it is not there, in a folder that is), `:memory:`, the http(s)
 * URL of a KV server, or, with null, the platform's own on Deno Deploy.
 * @throws {StoreUnavailableError}
 */
export async function openKv(path: string | null): Promise<Deno.Kv> {
  try {
    if (isFile(path)) await checkPath(path);
    if (path !== null && isServer(path)) {
      const kvs = await Promise.all(Array.from({ length: CONNECTIONS }, () => Deno.openKv(path)));
      await firstAnswer(kvs[0]!);
      return spreadKv(kvs);
    }
    if (path === null) return await Deno.openKv();
    const damage = await findDamage(path);
    if (damage.length > 0) throw new DamagedFileError(path, damage);
    return patientKv(expiringKv(await Deno.openKv(path)));
  } catch (cause) {
    if (cause instanceof StoreUnavailableError) throw cause;
    if (isFile(path) && faultIn(cause) === "damaged") {
      throw new DamagedFileError(path, [(cause as Error).message]);
    }
    const what = path === null ? "the platform's KV" : path;
    const said = cause instanceof Error ? cause.message : String(cause);
    // SQLite cannot make the files beside the database, and does not say why.
    const reason = said === "disk I/O error" ? `${said}. Is the disk full?` : said;
    throw new StoreUnavailableError(`cannot open the store ${what}: ${reason}`, { cause });
  }
}

/** A database file is damaged. The message says what to do. */
export class DamagedFileError extends StoreUnavailableError {
  constructor(path: string, damage: string[]) {
    super(explainDamage(resolve(path), damage));
  }
}

function explainDamage(file: string, damage: string[]): string {
  return (
    `the database file ${file} is damaged:
${damage.map((each) => `  - ${each.replaceAll("\n", " ")}`).join("\n")}
What to do:
  1. Stop the service, and keep a copy of ${file} and of the files beside it (-wal, -shm).
  2. If there is a backup, move the files away and run: deno task import <folder>
  3. If not, save what can be read, with the sqlite3 program:
       sqlite3 ${file} .recover | sqlite3 recovered.sqlite3
     Then set KV_PATH to recovered.sqlite3 and run: deno task doctor --repair`
  );
}

/** What SQLite calls "unable to open database file", in words. @throws {StoreUnavailableError} */
async function checkPath(path: string): Promise<void> {
  const folder = dirname(path);
  if (path === DEFAULT_KV_PATH) await Deno.mkdir(folder, { recursive: true });
  const found = await statOrNull(folder);
  if (found === null) {
    throw new StoreUnavailableError(
      `cannot open the store ${path}: there is no folder ${resolve(folder)}. Create it first`,
    );
  }
  if (!found.isDirectory) {
    throw new StoreUnavailableError(`cannot open the store ${path}: ${folder} is not a folder`);
  }
  const file = await statOrNull(path);
  if (file?.isDirectory) {
    throw new StoreUnavailableError(
      `cannot open the store ${path}: that is a folder, and should be a file in one`,
    );
  }
  try {
    if (file !== null) (await Deno.open(path, { read: true, write: true })).close();
  } catch (error) {
    if (!(error instanceof Deno.errors.PermissionDenied)) throw error;
    throw new StoreUnavailableError(`cannot open the store ${path}: this user may not write it`);
  }
}

async function statOrNull(path: string): Promise<Deno.FileInfo | null> {
  try {
    return await Deno.stat(path);
  } catch (error) {
    const isMissing = error instanceof Deno.errors.NotFound ||
      error instanceof Deno.errors.NotADirectory;
    if (isMissing) return null;
    throw error;
  }
}

/** Deno 2.5 opens a KV server without a word to it, and asks it again for as long as it does not answer. */
async function firstAnswer(kv: Deno.Kv): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("it does not answer")), FIRST_ANSWER_MS);
  });
  await Promise.race([kv.get(["ping"]), late]).finally(() => clearTimeout(timer));
}

/** Whether a store is a file on this machine. */
export function isFile(path: Deno.Kv | string | null): path is string {
  return typeof path === "string" && path !== ":memory:" && !isServer(path);
}

function isServer(path: string): boolean {
  return /^https?:\/\//.test(path);
}
