import { assertEquals } from "@std/assert";

const RULE = /\*\*([A-Z]{1,2}\d+)\*\*/g;
const TEST =
  /\b(?:Deno\.test|test|testReal|testHost|testLong)\(\s*[`"]([A-Z]{1,2}\d+)(?:-([A-Z]{1,2}\d+))?:/g;

Deno.test("every rule of SPEC.md has a test that is named after it, and every test a rule", async () => {
  const spec = await Deno.readTextFile(new URL("../SPEC.md", import.meta.url));
  const rules = new Set([...spec.matchAll(RULE)].map(([, rule]) => rule!));
  const tested = new Set<string>();
  for await (const source of sources(new URL("./", import.meta.url))) {
    for (const [, rule, last] of source.matchAll(TEST)) {
      tested.add(rule!);
      if (last) tested.add(last);
    }
  }
  assertEquals([...rules.difference(tested)], [], "rules without a test");
  assertEquals([...tested.difference(rules)], [], "tests without a rule");
});

async function* sources(folder: URL): AsyncIterable<string> {
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    if (isDirectory) yield* sources(new URL(`${name}/`, folder));
    else if (name.endsWith(".ts")) yield await Deno.readTextFile(new URL(name, folder));
  }
}
