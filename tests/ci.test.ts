import { assert, assertEquals } from "@std/assert";

const ROOT = new URL("../", import.meta.url);

/** Runs a test whose program is missing. */
async function runSkipped(CI: string) {
  const path = await Deno.makeTempFile({ suffix: ".test.ts" });
  await Deno.writeTextFile(
    path,
    `import { testReal } from "${new URL("tests/real/real_test.ts", ROOT)}";
     testReal("nothing real", null, () => Promise.resolve());`,
  );
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["test", "--no-check", "--no-lock", "--allow-env=CI", path],
    env: { CI, NO_COLOR: "1" },
  }).output();
  await Deno.remove(path);
  const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  return { code, printed: out! + err! };
}

Deno.test("K7: a test with real programs that is skipped is named, and fails on CI", async () => {
  const here = await runSkipped("");
  assertEquals(here.code, 0, here.printed);
  const onCI = await runSkipped("true");
  assertEquals(onCI.code, 1, onCI.printed);
  for (const { printed } of [here, onCI]) assert(printed.includes("SKIPPED: nothing real"));
});

Deno.test("K7: CI installs each program by itself", async () => {
  const script = await Deno.readTextFile(new URL(".ci/run", ROOT));
  for (const program of ["chromium", "caddy", "nginx", "systemd-analyze", "cargo", "make", "g++"]) {
    assert(new RegExp(`^ *install ${program.replace("++", "\\+\\+")} `, "m").test(script), program);
  }
  assert(script.includes("export CI=true"));
});
