import type { ParseArgsOptionsConfig } from "node:util";
import { ConfigError, readConfig, SETTINGS } from "../config.ts";
import { unknownSettings } from "../server/unknown_settings.ts";
import { findDamage } from "../store/kv/database_file.ts";
import { DamagedFileError, openKv, StoreUnavailableError } from "../store/kv/open_kv.ts";
import { Exit, readArgs, UsageError } from "./args.ts";
import { BackupError } from "./backup.ts";

export { Exit, UsageError };

/** How a tool runs. */
export interface Tool<Options extends ParseArgsOptionsConfig> {
  /** How it is called, and what it does. */
  usage: string;
  options: Options;
  /** Whether a store that is not there yet may be made. */
  creates?: true;
  /** Whether a database file is checked from end to end first. */
  checks?: true;
  /** Does its work on the store that the settings name. Resolves with the exit code. */
  run(kv: Deno.Kv, args: ReturnType<typeof readArgs<Options>>): Promise<number>;
}

/** Runs a tool, and exits. */
export async function runTool<Options extends ParseArgsOptionsConfig>(
  { usage, options, creates, checks, run }: Tool<Options>,
): Promise<never> {
  const args = readArgs(usage, options, true);
  try {
    const kv = await openStore(creates ?? false, checks ?? false);
    // Not `using`: Deno 2.5 does not find how to dispose of what stands behind a proxy.
    Deno.exitCode = await run(kv, args).finally(() => kv.close());
  } catch (error) {
    console.error(explain(error, usage));
    Deno.exitCode = error instanceof DamagedFileError ? Exit.wrong : Exit.cannotRun;
  }
  Deno.exit();
}

async function openStore(creates: boolean, checks: boolean): Promise<Deno.Kv> {
  const onDeploy = Deno.env.has("DENO_DEPLOYMENT_ID");
  const env = Deno.env.toObject();
  for (const { name, nearest } of unknownSettings(Object.keys(env), SETTINGS)) {
    console.error(`warning: ${name} is not a setting; did you mean ${nearest}?`);
  }
  const { kvPath } = readConfig(env, { terminal: false, onDeploy });
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
  if (error instanceof UsageError) return `${error.message}\n${usage}`;
  const inWords = error instanceof StoreUnavailableError || error instanceof BackupError ||
    error instanceof Deno.errors.NotCapable;
  if (inWords) return error.message;
  return error instanceof Error ? error.stack ?? error.message : String(error);
}
