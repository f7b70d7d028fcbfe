/** Connections that are no WebSockets: idle ones, pipelined requests, answers that nobody reads. */
import { assert, assertEquals } from "@std/assert";
import { DEFAULT_LIMITS } from "../../src/limits/limits.ts";
import { listen as listenOn } from "../../src/transport/listener.ts";
import { FakeClock } from "../fake_clock.ts";
import { listen } from "../http/listen.ts";
import { ALICE } from "../http/service.ts";
import { until } from "../until.ts";
import { RawClient } from "./raw_client.ts";

/** Deno 2.5 has no listener of ours: see `src/transport/listener.ts`. */
const ignore = Deno.version.deno.startsWith("2.5.");

function test(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, ignore, fn });
}

const REQUEST = "GET /livez HTTP/1.1\r\nhost: x\r\n\r\n";

/** A connection that has had an answer, and whether it is still open. */
async function visitor(port: number) {
  const client = await RawClient.connect(port);
  await client.write(REQUEST);
  const head = await client.readHead();
  const state = { isOpen: true };
  const ended = client.readAll().then(() => state.isOpen = false);
  return { client, head, state, ended };
}

for (
  const [limit, limits] of Object.entries({
    "of one address": { httpConnectionsPerAddress: 10 },
    "in all": { httpConnections: 10 },
  })
) {
  test(`N31: of too many connections ${limit} the one that has been idle for longest is closed`, async () => {
    await using it = await listen({ limits });
    using socket = await RawClient.open(it.port, ALICE, "notes");
    const visitors = [];
    for (let n = 0; n < 10; n++) visitors.push(await visitor(it.port));
    assert(visitors.every(({ state }) => state.isOpen), "an open WebSocket is not counted");
    const late = [await visitor(it.port), await visitor(it.port)];
    await Promise.all([visitors[0]!.ended, visitors[1]!.ended]);
    for (const { head } of late) assertEquals(head.split("\r\n")[0], "HTTP/1.1 200 OK");
    const open = [...visitors, ...late].filter(({ state }) => state.isOpen);
    assertEquals(open.length, 10);
    for (const { client } of [...visitors, ...late]) client[Symbol.dispose]();
    await socket.write(new Uint8Array([0]));
  });
}

test("N31: connections of a proxy are not counted as those of one address", async () => {
  await using it = await listen({
    limits: { httpConnectionsPerAddress: 3 },
    trustedProxies: ["127.0.0.0/8"],
  });
  const visitors = [];
  for (let n = 0; n < 10; n++) visitors.push(await visitor(it.port));
  assertEquals(visitors.filter(({ state }) => state.isOpen).length, 10);
  for (const { client } of visitors) client[Symbol.dispose]();
});

test("N32: four requests may wait for their answers on one connection, and not a flood", async () => {
  await using it = await listen();
  using few = await RawClient.connect(it.port);
  await few.write(REQUEST.repeat(3) + REQUEST.replace("host", "connection: close\r\nhost"));
  assertEquals((await few.readAll()).split("HTTP/1.1 200 OK").length - 1, 4);
  using flood = await RawClient.connect(it.port);
  await flood.write(REQUEST.repeat(1_000));
  const answers = (await flood.readAll()).split("HTTP/1.1 200 OK").length - 1;
  assert(answers <= 4, `${answers} answers`);
});

test("N32: a connection that does not read its answer is closed after 60 s", async () => {
  const clock = new FakeClock();
  let answered = 0;
  const handle = () => {
    answered++;
    return Promise.resolve(new Response(new Uint8Array(20_000_000)));
  };
  const listener = await listenOn({
    port: 0,
    hostname: "127.0.0.1",
    reusePort: false,
    limits: DEFAULT_LIMITS,
    trustedProxies: [],
    clock,
    service: () => ({ handle, fetch: handle }),
  }, false);
  using unread = await RawClient.connect(listener.port);
  await unread.write(REQUEST);
  await until(() => answered === 1);
  clock.advance(59_000);
  using read = await RawClient.connect(listener.port);
  await read.write(REQUEST.replace("host", "connection: close\r\nhost"));
  const reading = read.readAll();
  await until(() => answered === 2);
  clock.advance(1_000);
  const length = (await unread.readAll()).length;
  assert(length < 20_000_000, `${length} characters, and not all`);
  assert((await reading).length > 20_000_000, "the other connection goes on");
  await listener.close();
});
