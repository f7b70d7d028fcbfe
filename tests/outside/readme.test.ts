import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { ServerProcess } from "./server_process.ts";

const ROOT = new URL("../../", import.meta.url);
const readme = await Deno.readTextFile(new URL("README.md", ROOT));

/** The first code block of a language after some words of the README. */
function block(language: string, after: string): string {
  const start = readme.indexOf(after);
  assert(start >= 0, `the README does not say "${after}"`);
  const match = new RegExp(`\`\`\`${language}\n(.*?)\`\`\``, "s").exec(readme.slice(start));
  assert(match, `no ${language} after "${after}"`);
  return match[1]!;
}

async function output(command: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await new Deno.Command(command, { args, cwd: ROOT.pathname })
    .output();
  const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  assertEquals(code, 0, err);
  return out!;
}

Deno.test("O9: the README's five minutes go as it says: a ticket by curl, and two clients that meet", async () => {
  const start = block("sh", "Start it with a development token");
  const UNSAFE_DEV_TOKEN = /UNSAFE_DEV_TOKEN=(\S+)/.exec(start)![1]!;
  await using server = await ServerProcess.start({
    KV_PATH: ":memory:",
    UNSAFE_DEV_TOKEN,
    ACCESS_POLICY: "", // as it is by default
  });
  const here = (text: string) => text.replaceAll("http://localhost:8000", server.url);

  const curl = here(block("sh", "ask for a ticket"));
  const answer = JSON.parse(await output("sh", "-c", `${curl.trim()} --silent --show-error`));
  const shown = JSON.parse(block("json", "ask for a ticket"));
  assertEquals(Object.keys(answer), Object.keys(shown));

  const script = await Deno.makeTempFile({ dir: ROOT.pathname, prefix: ".readme-", suffix: ".ts" });
  try {
    await Deno.writeTextFile(script, here(block("ts", "two stock")));
    const flags = /run (.*) two-clients.ts/.exec(readme)![1]!.split(" ");
    const run = () => output(Deno.execPath(), "run", ...flags, script);
    assertStringIncludes(await run(), "bob reads: Hello");
    assertEquals((await run()).match(/Hello/g)!.length, 2, "the greeting of before is not there");
  } finally {
    await Deno.remove(script);
  }
});
