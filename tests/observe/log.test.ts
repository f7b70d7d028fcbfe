import { assert, assertEquals, assertObjectMatch } from "@std/assert";
import { ALICE, connectPeer, DEV_TOKEN } from "../outside/clients.ts";
import { ServerProcess } from "../outside/server_process.ts";
import { rawRequest, sendRaw } from "../http/raw.ts";
import { prettyFormatter } from "../../src/observe/logging.ts";
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

Deno.test("E7: a call's event names the room, the member and the role", async () => {
  await using server = await start();
  const call = async (method: string, body: unknown) => {
    const response = await fetch(`${server.url}/xrpc/chat.roomy.v0.sync.${method}`, {
      method: "POST",
      headers: { authorization: `Bearer ${DEV_TOKEN}` },
      body: JSON.stringify(body),
    });
    await response.body?.cancel();
    return response.headers.get("x-request-id")!;
  };
  const [room, member] = ["notes", "did:web:bob.example"];
  const invite = { room, id: "none", did: ALICE };
  const cases: [string, unknown, Record<string, unknown>][] = [
    ["getTicket", { room, did: ALICE }, { room, role: "owner", did: ALICE, status: 200 }],
    ["putMember", { room, member, role: "reader", did: ALICE }, { room, member, role: "reader" }],
    ["removeMember", { room, member, did: member }, { room, member, did: member }],
    ["getTicket", { room, did: "did:web:eve.example" }, { room, error: "Forbidden" }],
    ["revokeInvite", invite, { room, did: ALICE }],
    ["getTicket", { room: "a\u001bb", did: ALICE }, { error: "InvalidRoom" }],
  ];
  for (const [method, body, expected] of cases) {
    const id = await call(method, body);
    const event = () => events(server).find(({ request }) => request === id);
    await until(() => event() !== undefined);
    assertObjectMatch(event(), expected);
  }
});

Deno.test("E8: no value begins a line of its own in the pretty format, or steers a terminal", () => {
  const log = (value: unknown) => {
    const [category, timestamp, level] = [["tessera"], 0, "warning" as const];
    const message = ["it failed: ", value, ""];
    const rawMessage = "it failed: {value}";
    return prettyFormatter()({ category, timestamp, level, message, rawMessage, properties: {} });
  };
  const hostile = "x\n12:00 INFO forged\u001b]0;title\u0007\r\u009b2J";
  const values = [hostile, { toString: () => hostile }, new Error(hostile)];
  for (const value of values) {
    const line = log(value).trimEnd();
    // The formatter has colours of its own; of the value no control character is left.
    const controls = ["\x07", "\r", "\x9b", "\x1b]"];
    assert(!controls.some((control) => line.includes(control)), JSON.stringify(line));
    assert(!/\n\S/.test(line), "the lines of a stack are indented");
  }
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
