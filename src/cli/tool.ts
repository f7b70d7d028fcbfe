import { ConfigError, readConfig } from "../config.ts";
import { BackupError } from "./backup.ts";
import { findDamage } from "../store/kv/database_file.ts";
import { DamagedFileError, openKv, StoreUnavailableError } from "../store/kv/open_kv.ts";

/** A command line that makes no sense. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** What a tool's exit codes say. */
export const Exit = { well: 0, wrong: 1, cannotRun: 2 } as const;

/** How a tool runs. */
export interface Tool {
  /** How it is called. */
  usage: string;
  /** Whether a store that is not there yet may be made. */
  creates?: true;
  /** Whether a database file is checked from end to end first. */
  checks?: true;
  /** Does its work on the store that the settings name. Resolves with the exit code. */
  run(kv: Deno.Kv): Promise<number>;
}

/** Runs a tool, and exits. */
export async function runTool({ usage, creates, checks, run }: Tool): Promise<never> {
  try {
    const kv = await openStore(creates ?? false, checks ?? false);
    // Not `using`: Deno 2.5 does not find how to dispose of what stands behind a proxy.
    Deno.exitCode = await run(kv).finally(() => kv.close());
  } catch (error) {
    console.error(explain(error, usage));
    Deno.exitCode = error instanceof DamagedFileError ? Exit.wrong : Exit.cannotRun;
  }
  Deno.exit();
}

async function openStore(creates: boolean, checks: boolean): Promise<Deno.Kv> {
  const onDeploy = Deno.env.has("DENO_DEPLOYMENT_ID");
  const { kvPath } = readConfig(Deno.env.toObject(), { terminal: false, onDeploy });
  if (kvPath === ":memory:") {
    throw new StoreUnavailableError("KV_PATH is :memory:, which only its own process can see");
  }
  const isFile = kvPath !== null && !/^https?:/.test(kvPath);
  if (isFile && !creates && !await isThere(kvPath)) {
    throw new StoreUnavailableError(`there is no store at ${kvPath}; KV_PATH says where to look`);
  }
  if (isFile && checks) {
    const damage = await findDamage(kvPath, true);
    if (damage.length > 0) throw new DamagedFileError(kvPath, damage);
  }
  return await openKv(kvPath);
}

async function isThere(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

function explain(error: unknown, usage: string): string {
  if (error instanceof ConfigError) {
    return `These settings cannot be used:\n${error.mistakes.map((m) => `  - ${m}`).join("\n")}`;
  }
  if (error instanceof UsageError || isParseError(error)) return `${error.message}\n${usage}`;
  const inWords = error instanceof StoreUnavailableError || error instanceof BackupError;
  if (inWords) return error.message;
  return error instanceof Error ? error.stack ?? error.message : String(error);
}

/** `parseArgs` names its errors by code. */
function isParseError(error: unknown): error is Error {
  return error instanceof Error && "code" in error &&
    String(error.code).startsWith("ERR_PARSE_ARGS");
}
