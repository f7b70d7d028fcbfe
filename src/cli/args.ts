import { parseArgs, type ParseArgsOptionsConfig } from "node:util";

/** Exit codes of every command. */
export const Exit = { well: 0, wrong: 1, cannotRun: 2 } as const;

/** A command line that makes no sense. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/**
 * Reads the arguments of a command. `--help` prints the usage and exits with 0; an option that is not
 * there, or an argument too many, is named on standard error, and exits with 2.
 */
export function readArgs<Options extends ParseArgsOptionsConfig>(
  usage: string,
  options: Options,
  allowPositionals = false,
) {
  const help = { type: "boolean", short: "h" } as const;
  const config = { args: Deno.args, options: { ...options, help }, allowPositionals };
  try {
    const parsed = parseArgs(config);
    if ((parsed.values as { help?: boolean }).help) {
      console.log(usage);
      Deno.exit(Exit.well);
    }
    return parsed;
  } catch (error) {
    if (!isParseError(error)) throw error;
    console.error(`${error.message}\n${usage}`);
    Deno.exit(Exit.cannotRun);
  }
}

/** `parseArgs` names its errors by code. */
function isParseError(error: unknown): error is Error {
  return error instanceof Error && "code" in error &&
    String(error.code).startsWith("ERR_PARSE_ARGS");
}
