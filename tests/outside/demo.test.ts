import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { freePort } from "../free_port.ts";

Deno.test("O27: `deno task demo` builds its page and serves it, also where there is no PDS, and says so", async () => {
  const port = freePort();
  const demo = new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", "src/demo/main.ts"],
    cwd: new URL("../../", import.meta.url).pathname,
    env: { PORT: String(port), TESSERA_TEST_CACHE: "/nowhere", NO_COLOR: "1" },
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  let printed = "";
  const reading = (async () => {
    for await (const text of demo.stdout.pipeThrough(new TextDecoderStream())) printed += text;
  })();
  const url = `http://localhost:${port}`;
  await Promise.race([
    reading,
    (async () => {
      while (!printed.includes("The demo is at")) {
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    })(),
  ]);
  assertStringIncludes(printed, "There is no PDS here");
  assertStringIncludes(printed, `${url}/demo/`);

  const get = async (path: string) => {
    const answer = await fetch(url + path);
    return {
      status: answer.status,
      type: answer.headers.get("content-type"),
      text: await answer.text(),
    };
  };
  const page = await get("/"); // it leads there
  assertStringIncludes(page.text, "<h1>Write together</h1>");
  for (const [, name] of page.text.matchAll(/(?:src|href)="(\/demo\/[^"]+)"/g)) {
    assertEquals((await get(name!)).status, 200, name);
  }
  assert((await get("/demo/app.js")).text.length < 500_000);
  const cast = JSON.parse((await get("/demo/cast.json")).text);
  assertEquals(cast.accounts.length, 3);
  assertEquals((await get("/demo/../deno.json")).status, 404);
  assertEquals((await get("/livez")).status, 200);
  demo.kill("SIGTERM");
  assertEquals((await demo.status).code, 0);
  await reading;
});
