import { assert, assertEquals, assertObjectMatch } from "@std/assert";
import { ALICE, connectPeer, DEV_TOKEN } from "../outside/clients.ts";
import { ServerProcess } from "../outside/server_process.ts";
import { rawRequest, sendRaw } from "../http/raw.ts";
import { until } from "../until.ts";

/** The events that a server has logged so far. */
const events = ({ log }: ServerProcess) =>
  log.filter((line) => line.startsWith("{")).map((line) => JSON.parse(line));

const start = () =>
  ServerProcess.start({
    KV_PATH: ":memory:",
    UNSAFE_DEV_TOKEN: DEV_TOKEN,
    ACCESS_POLICY: "members",
    LOG_LEVEL: "info",
  });

Deno.test("E4: each request is one event, whose id is in the answer", async () => {
  await using server = await start();
  const call = async (did: string, token: string) => {
    const response = await fetch(`${server.url}/xrpc/chat.roomy.v0.sync.getTicket?secret=1`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}` },
      body: JSON.stringify({ room: "notes", did }),
    });
    await response.body?.cancel();
    return response.headers.get("x-request-id")!;
  };
  const ids = [
    await call(ALICE, DEV_TOKEN),
    await call("did:web:bob.example", DEV_TOKEN),
    await call(ALICE, "a.b.c"),
  ];
  await (await fetch(`${server.url}/livez`)).body?.cancel();
  const found = () => ids.map((id) => events(server).filter(({ request }) => request === id));
  await until(() => found().every((each) => each.length > 0));
  const path = "/xrpc/chat.roomy.v0.sync.getTicket";
  const expected = [
    { level: "INFO", method: "POST", path, status: 200, did: ALICE },
    { status: 403, did: "did:web:bob.example", error: "Forbidden" },
    { status: 401, error: "BadJwt" },
  ];
  for (const [n, event] of found().entries()) {
    assertEquals(event.length, 1);
    assertObjectMatch(event[0], expected[n]!);
    assert(event[0].took >= 0 && event[0].address === "127.0.0.1");
  }
  assert(!server.log.some((line) => line.includes("/livez") || line.includes("secret=1")));
});

Deno.test("H17: a malformed request is one event in the log, however many come", async () => {
  await using server = await start();
  const port = Number(new URL(server.url).port);
  for (let n = 0; n < 20; n++) await sendRaw(port, rawRequest("GET", "/secret", "a:b:c"));
  const found = () => events(server).filter(({ status }) => status === 400);
  await until(() => found().length === 20);
  assertObjectMatch(found()[0], { error: "InvalidRequest", address: "127.0.0.1" });
  assert(!server.log.some((line) => line.includes("Invalid URL")));
});

Deno.test("E5: each connection is one event when it has ended", async () => {
  await using server = await start();
  const alice = await connectPeer(server, ALICE, "notes");
  alice.text.insert(0, "hello");
  alice.probe(1);
  await alice.hears("ack 1");
  alice.sendRaw(new Uint8Array([99]));
  await alice.isClosed();
  const found = () => events(server).filter(({ code }) => code !== undefined);
  await until(() => found().length > 0);
  assertEquals(found().length, 1);
  const [event] = found();
  assertObjectMatch(event, {
    did: ALICE,
    room: "notes",
    role: "owner",
    code: 4400,
    reason: "unknown message type 99",
    address: "127.0.0.1",
  });
  assert(event.received >= 3 && event.receivedBytes > event.received);
  assert(event.sent >= 3 && event.sentBytes > event.sent);
  const opening = events(server).find(({ status }) => status === 101);
  assertEquals(opening.request, event.request);
});
