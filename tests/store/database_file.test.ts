import { assert, assertEquals, assertRejects } from "@std/assert";
import { createSyncService } from "../../src/mod.ts";
import { openKv, StoreUnavailableError } from "../../src/store/kv/open_kv.ts";
import { FakeClock } from "../fake_clock.ts";
import { until } from "../until.ts";
import { runTask, runToEnd } from "../outside/server_process.ts";

const PAGE = 4_096;

/** A database file with some 50 pages. */
async function databaseFile(folder: string): Promise<string> {
  const path = `${folder}/store.sqlite3`;
  const kv = await Deno.openKv(path);
  for (let n = 0; n < 20; n++) await kv.set(["key", n], new Uint8Array(10_000).fill(n));
  kv.close();
  return path;
}

const spoiled: Record<string, (path: string) => Promise<void>> = {
  "its first page is noise": (path) => overwrite(path, [0]),
  "it is some text": (path) => Deno.writeTextFile(path, "no database ".repeat(1_000)),
  "all pages but the first are noise": async (path) => {
    const pages = (await Deno.stat(path)).size / PAGE;
    await overwrite(path, Array.from({ length: pages - 1 }, (_, n) => n + 1));
  },
  "it was cut off": (path) => Deno.truncate(path, 10 * PAGE),
};

async function overwrite(path: string, pages: number[]): Promise<void> {
  using file = await Deno.open(path, { write: true });
  for (const page of pages) {
    await file.seek(page * PAGE, Deno.SeekMode.Start);
    await file.write(crypto.getRandomValues(new Uint8Array(PAGE)));
  }
}

for (const [how, spoil] of Object.entries(spoiled)) {
  Deno.test(`S32: a damaged database file is not opened: ${how}`, async () => {
    const folder = await Deno.makeTempDir();
    const path = await databaseFile(folder);
    await spoil(path);
    const before = await Deno.readFile(path);
    const error = await assertRejects(() => openKv(path), StoreUnavailableError, "is damaged");
    assert(error.message.includes(path), error.message);
    assertEquals(await Deno.readFile(path), before);
    await Deno.remove(folder, { recursive: true });
  });
}

Deno.test("S32: a good file opens, also while it is open elsewhere", async () => {
  const folder = await Deno.makeTempDir();
  const path = await databaseFile(folder);
  const [first, second] = [await openKv(path), await openKv(path)];
  await first.set(["key"], 1);
  assertEquals((await second.get(["key"])).value, 1);
  first.close();
  second.close();
  await Deno.remove(folder, { recursive: true });
});

for (const how of ["deleted", "replaced"]) {
  Deno.test(`S34: nothing is acknowledged once the database file is ${how}`, async () => {
    const folder = await Deno.makeTempDir();
    const path = await databaseFile(folder);
    const clock = new FakeClock();
    const service = createSyncService({
      publicUrl: "http://localhost:8000",
      kv: path,
      policy: "open",
      devToken: "token",
      clock,
    });
    await service.ready;
    const call = async (path: string, init?: RequestInit) => {
      const response = await service.fetch(new Request(`http://localhost:8000${path}`, init));
      await response.body?.cancel();
      return response.status;
    };
    const ticket = {
      method: "POST",
      headers: { authorization: "Bearer token" },
      body: JSON.stringify({ room: "room", did: "did:web:alice.example" }),
    };
    const getTicket = () => call("/xrpc/chat.roomy.v0.sync.getTicket", ticket);
    assertEquals([await call("/readyz"), await getTicket()], [200, 200]);
    await Deno.rename(path, `${path}.old`);
    if (how === "replaced") await Deno.copyFile(`${path}.old`, path);
    await until(async () => (clock.advance(1_000), await call("/readyz") === 503));
    assertEquals(await getTicket(), 503);
    const passing = setInterval(() => clock.advance(50), 0);
    await service.shutdown();
    clearInterval(passing);
    await Deno.remove(folder, { recursive: true });
  });
}

Deno.test("S32: the service does not start on a damaged file, and `doctor` explains what to do", async () => {
  const folder = await Deno.makeTempDir();
  const path = await databaseFile(folder);
  await spoiled["all pages but the first are noise"]!(path);
  const env = { KV_PATH: path, PORT: "0" };
  for (const { code, printed } of [await runToEnd(env), await runTask("doctor", [], env)]) {
    assertEquals(code, 1, printed);
    assert(printed.includes(`the database file ${path} is damaged:`), printed);
    assert(printed.includes("deno task import <folder>"), printed);
    assert(!/^\s+at |panicked/m.test(printed), printed);
  }
  await Deno.remove(folder, { recursive: true });
});
