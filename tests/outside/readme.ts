import { assert } from "@std/assert";

const ROOT = new URL("../../", import.meta.url);

export const readme = await Deno.readTextFile(new URL("README.md", ROOT));

/** The client library's. */
export const clientReadme = await Deno.readTextFile(new URL("src/client/README.md", ROOT));

/** The first code block of a language after some words of the README, or of another one. */
export function block(language: string, after: string, text = readme): string {
  const start = text.indexOf(after);
  assert(start >= 0, `the README does not say "${after}"`);
  const match = new RegExp(`\`\`\`${language}\n(.*?)\`\`\``, "s").exec(text.slice(start));
  assert(match, `no ${language} after "${after}"`);
  return match[1]!;
}

/** Puts a program of the README beside it, where it finds what it imports, as long as `run` lasts. */
export async function withFile<T>(program: string, run: (path: string) => Promise<T>): Promise<T> {
  const path = await Deno.makeTempFile({ dir: ROOT.pathname, prefix: ".readme-", suffix: ".ts" });
  try {
    await Deno.writeTextFile(path, program);
    return await run(path);
  } finally {
    await Deno.remove(path);
  }
}
