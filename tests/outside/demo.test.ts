import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { freePort } from "../free_port.ts";
import { madeUpCast, startDemo } from "../../src/demo/demo.ts";
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

Deno.test("E11: the demo answers for the names of this machine alone", async () => {
  const service = startDemoAt(freePort());
  const status = async (host: string, path: string) => {
    using line = await Deno.connect({ hostname: "localhost", port: service.port });
    await line.write(new TextEncoder().encode(
      `GET ${path} HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`,
    ));
    const answer = await new Response(line.readable).text();
    assert(!answer.includes(service.token) || path === "/demo/cast.json");
    return Number(answer.split(" ")[1]);
  };
  try {
    for (const name of ["localhost", "127.0.0.1", "[::1]"]) {
      assertEquals(await status(`${name}:${service.port}`, "/demo/cast.json"), 200, name);
    }
    const foreign = [
      ...["evil.example", `evil.example:${service.port}`, "localhost", "localhost:1", ""],
      ...[`localhost.evil.example:${service.port}`, `localhost:${service.port}@evil.example`],
    ];
    for (const host of foreign) {
      for (const path of ["/demo/cast.json", "/demo/", "/livez", "/"]) {
        const got = await status(host, path);
        assert(got === 403 || got === 400, `${host}${path}: ${got}`);
      }
    }
  } finally {
    await service.stop();
  }
});

function startDemoAt(port: number) {
  const cast = madeUpCast();
  const url = `http://localhost:${port}`;
  const demo = startDemo({ page: new Map(), cast, url, kv: ":memory:", pds: null });
  return { ...demo, port, token: "token" in cast ? cast.token : "" };
}
