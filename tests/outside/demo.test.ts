import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { freePort } from "../free_port.ts";
import { ServerProcess } from "./server_process.ts";

Deno.test("O27: `deno task demo` builds its page and serves it, also where there is no PDS, and says so", async () => {
  const port = String(freePort());
  await using demo = await ServerProcess.start(
    { PORT: port, TESSERA_TEST_CACHE: "/nowhere" },
    { name: "demo", ready: /The demo is at (\S+)\/demo\// },
  );
  const { url, log } = demo;
  assertEquals(url, `http://localhost:${port}`);
  assertStringIncludes(log.join("\n"), "There is no PDS here");

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
  assertEquals(await demo.stop(), 0);
});
