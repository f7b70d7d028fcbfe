import { mustRun } from "./run.ts";

/** An editor's packages are pinned beside those of the tests: see the README, "Working on it". */
const LOCK = new URL("../../tests/deno.lock", import.meta.url).pathname;

/** A script for browsers, made of a module and all that it imports but for the packages in `without`. */
export async function bundle(
  folder: string,
  module: string,
  without: string[] = [],
): Promise<Uint8Array<ArrayBuffer>> {
  const output = await Deno.makeTempFile({ suffix: ".js" });
  const flags = ["--quiet", "--platform", "browser", "--minify", `--lock=${LOCK}`];
  const external = without.flatMap((name) => ["--external", name]);
  const args = ["bundle", ...flags, ...external, "--output", output, module];
  await mustRun(Deno.execPath(), args, folder);
  const script = await Deno.readFile(output);
  await Deno.remove(output);
  return script;
}

/** How much it is when it is compressed, in bytes. */
export async function compressedSize(bytes: Uint8Array<ArrayBuffer>): Promise<number> {
  const { body } = new Response(bytes);
  return (await new Response(body!.pipeThrough(new CompressionStream("gzip"))).blob()).size;
}

/** Bytes, for people. */
export const inKB = (bytes: number): string => `${(bytes / 1_000).toFixed(1)} KB`;
