import { dirname } from "node:path";
import { patientKv } from "./patient_kv.ts";
import { spreadKv } from "./spread_kv.ts";

/** Connections to a KV server: of twice as many, half stood idle with a hundred edits a second. */
const CONNECTIONS = 16;

/** A store that cannot be opened. The message says what to do. */
export class StoreUnavailableError extends Error {
  override readonly name = "StoreUnavailableError";
}

/**
 * Opens a KV store: a file (made with its folder when it is not there), `:memory:`, the http(s) URL
 * of a KV server, or, with null, the platform's own on Deno Deploy.
 * @throws {StoreUnavailableError}
 */
export async function openKv(path: string | null): Promise<Deno.Kv> {
  try {
    if (path !== null && isFile(path)) await Deno.mkdir(dirname(path), { recursive: true });
    if (path !== null && isServer(path)) {
      return spreadKv(
        await Promise.all(Array.from({ length: CONNECTIONS }, () => Deno.openKv(path))),
      );
    }
    return patientKv(await Deno.openKv(path ?? undefined));
  } catch (cause) {
    const what = path === null ? "the platform's KV" : path;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new StoreUnavailableError(`cannot open the store ${what}: ${reason}`, { cause });
  }
}

function isFile(path: string): boolean {
  return path !== ":memory:" && !isServer(path);
}

function isServer(path: string): boolean {
  return /^https?:\/\//.test(path);
}
