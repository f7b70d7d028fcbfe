import { assert, assertEquals } from "@std/assert";
import { connectPeer, DEV_TOKEN } from "../outside/clients.ts";
import { ServerProcess } from "../outside/server_process.ts";
import { ALICE, BOB, GET_TICKET, startService } from "../http/service.ts";
import { TestPeer } from "../sync/test_peer.ts";
import { until } from "../until.ts";

const TOKEN = "a token for metrics";

/** The samples of an exposition, by name and labels. It throws on a line that is none. */
function read(text: string): Map<string, number> {
  const samples = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(samples.map((line) => {
    const [, name, value] = /^([a-z_]+(?:\{[^}]*\})?) (\S+)$/.exec(line)!;
    return [name!, Number(value)];
  }));
}

Deno.test("E1: the metrics are for who has the token, and not there without one", async () => {
  await using it = await startService({ metricsToken: TOKEN.replaceAll(" ", "-") });
  const ask = async (token?: string) => {
    const headers: HeadersInit = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const response = await it.call("/metrics", { headers });
    return [response.status, (await response.text()).includes("tessera_connections")];
  };
  assertEquals(await ask(), [401, false]);
  assertEquals(await ask("another-token"), [401, false]);
  assertEquals(await ask("a-token-for-metrics"), [200, true]);
  await using closed = await startService();
  assertEquals((await closed.call("/metrics")).status, 404);
});

Deno.test("E2: it counts what happens, by names and units of Prometheus, and names nobody", async () => {
  await using it = await startService({
    policy: "members",
    limits: { connectionsPerDid: 1, messageBytes: 1_000 },
  });
  await using server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    it.service.fetch,
  );
  const metrics = async () => read(await (await it.service.metrics()).text());
  await metrics(); // how long things take is measured from now on
  const ticket = async (did: string, room: string) =>
    (await (await it.callAs(GET_TICKET, { room, did })).json()).ticket;
  const knock = async (did: string) => {
    const url = `ws://127.0.0.1:${server.addr.port}/sync/notes`;
    const socket = new WebSocket(url, ["authorization", await ticket(did, "notes")]);
    return await new Promise<WebSocket | null>((resolve) => {
      socket.onopen = () => resolve(socket);
      socket.onerror = () => resolve(null);
    });
  };
  const alice = new TestPeer(ALICE).joinOver((await knock(ALICE))!);
  alice.text.insert(0, "hello");
  alice.probe(1);
  await alice.hears("ack 1");
  assertEquals(await knock(ALICE), null, "one connection of hers is the most");
  assertEquals(await ticket(BOB, "notes"), undefined);
  await it.call("/nothing/here");

  const samples = await metrics();
  const expected: [sample: string, value: number][] = [
    ["tessera_connections", 1],
    ["tessera_rooms", 1],
    ["tessera_connections_opened_total", 1],
    ["tessera_tickets_issued_total", 2],
    ["tessera_tickets_redeemed_total", 1],
    ["tessera_commit_updates_count", 1],
    ["tessera_commit_duration_seconds_count", 1],
    ['tessera_errors_total{error="TooManyConnections"}', 1],
    ['tessera_errors_total{error="Forbidden"}', 1],
    ['tessera_errors_total{error="NotFound"}', 1],
    ['tessera_http_responses_total{status="101"}', 1],
    ['tessera_http_responses_total{status="200"}', 2],
    ['tessera_limits_hit_total{limit="connectionsPerDid"}', 1],
  ];
  for (const [sample, value] of expected) assertEquals(samples.get(sample), value, sample);
  assert(samples.get("tessera_updates_total")! >= 1);
  assert(
    samples.get("tessera_received_bytes_total")! > samples.get("tessera_messages_received_total")!,
  );
  assert(samples.get("process_resident_memory_bytes")! > 1e6);
  for (const name of samples.keys()) assert(!/did:|notes|127/.test(name), name);

  alice.sendRaw(new Uint8Array(2_000));
  await until(
    async () => (it.clock.advance(50), (await metrics()).get("tessera_connections") === 0),
  );
  const after = await metrics();
  assertEquals(after.get('tessera_connections_closed_total{code="1009"}'), 1);
  assertEquals(after.get('tessera_limits_hit_total{limit="messageBytes"}'), 1);
  it.clock.advance(10_000);
  assert((await metrics()).get("tessera_event_loop_lag_seconds_count")! >= 20);
});

Deno.test("E3: METRICS_PORT adds up what all workers have done", async () => {
  const folder = await Deno.makeTempDir();
  await using server = await ServerProcess.start({
    KV_PATH: `${folder}/store.sqlite3`,
    UNSAFE_DEV_TOKEN: DEV_TOKEN,
    WORKERS: "2",
    METRICS_PORT: "0",
  });
  const [, port] = /metrics are at port (\d+)/.exec(server.log.join("\n"))!;
  const metrics = async () => read(await (await fetch(`http://localhost:${port}/metrics`)).text());
  const peers: TestPeer[] = [];
  for (let n = 0; n < 6; n++) peers.push(await connectPeer(server, ALICE, "notes"));
  const all = await Promise.all([metrics(), metrics()]);
  for (const samples of all) {
    assertEquals(samples.get("tessera_connections"), 6);
    assertEquals(samples.get("tessera_tickets_redeemed_total"), 6);
  }
  assertEquals((await fetch(`${server.url}/metrics`)).status, 404);
  for (const peer of peers) peer.leave();
  assertEquals(await server.stop(), 0);
  await Deno.remove(folder, { recursive: true });
});
