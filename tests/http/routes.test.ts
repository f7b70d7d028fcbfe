import { until } from "../until.ts";
import { assert, assertEquals, assertMatch, assertObjectMatch } from "@std/assert";
import { Lexicons } from "@atproto/lexicon";
import { createSyncService } from "../../src/mod.ts";
import { ALICE, BOB, DEV_TOKEN, GET_TICKET, startService, TOKEN } from "./service.ts";

/** Every path that answers, with the method that it takes. */
const PATHS: [string, string][] = [
  ["GET", "/"],
  ["GET", "/.well-known/did.json"],
  ["GET", "/lexicons"],
  ["GET", "/lexicons/com.example.sync.getTicket"],
  ["GET", "/livez"],
  ["GET", "/readyz"],
  ["GET", "/health"],
  ["GET", TOKEN],
  ["POST", GET_TICKET],
  ["GET", "/sync/room"],
];

async function errorOf(response: Response): Promise<[status: number, name: string]> {
  const { error, message, ...rest } = await response.json();
  assert(typeof message === "string" && message.length > 0);
  assertEquals(rest, {});
  return [response.status, error];
}

Deno.test("H1: the home address says who this is, to a program and to a person", async () => {
  await using it = await startService();
  const about = await (await it.call("/")).json();
  assertObjectMatch(about, { name: "Tessera", did: "did:web:sync.example.com" });
  assertEquals(about.links.getTicket, `https://sync.example.com${GET_TICKET}`);
  const page = await it.call("/", { headers: { accept: "text/html,*/*" } });
  assertEquals(page.headers.get("content-type"), "text/html; charset=utf-8");
  assert((await page.text()).includes("did:web:sync.example.com"));
});

Deno.test("H2: the DID document has one entry, ours, at the public URL", async () => {
  await using it = await startService({ serviceId: "sync" });
  assertObjectMatch(await (await it.call("/.well-known/did.json")).json(), {
    id: "did:web:sync.example.com",
    service: [{
      id: "#sync",
      type: "TesseraSyncService",
      serviceEndpoint: "https://sync.example.com",
    }],
  });
  const local = createSyncService({ publicUrl: "http://localhost:8000", kv: ":memory:" });
  assertEquals(local.face.serviceDid, "did:web:localhost%3A8000");
  await local.shutdown();
});

Deno.test("H3: the lexicons of our methods are served, valid, under the namespace", async () => {
  await using it = await startService();
  const { lexicons } = await (await it.call("/lexicons")).json();
  new Lexicons(structuredClone(lexicons)); // throws on what is no lexicon
  for (const lexicon of lexicons) {
    assertEquals(await (await it.call(`/lexicons/${lexicon.id}`)).json(), lexicon);
  }
  const names = lexicons.map(({ id }: { id: string }) => id.replace("com.example.sync.", ""));
  assertEquals(names, [
    ...["getTicket", "token", "getRoom", "listRooms", "listEvents", "putMember", "removeMember"],
    ...["setVisibility", "ban", "unban", "transferRoom", "acceptTransfer", "cancelTransfer"],
    "deleteRoom",
    ...["createInvite", "redeemInvite", "revokeInvite", "grant"],
  ]);
  assertEquals(await errorOf(await it.call("/lexicons/com.example.other")), [404, "NotFound"]);
});

Deno.test("H4: getTicket answers as its lexicon says, and is never cached", async () => {
  await using it = await startService();
  const { lexicons } = await (await it.call("/lexicons")).json();
  const room = "at://did:plc:aliceaaaaaaaaaaaaaaaaaaa/com.example.doc/ä b";
  const response = await it.callAs(GET_TICKET, { room, did: ALICE });
  assertEquals([response.status, response.headers.get("cache-control")], [200, "no-store"]);
  const body = await response.json();
  new Lexicons(lexicons).assertValidXrpcOutput("com.example.sync.getTicket", body);
  const { ticket, ...rest } = body;
  assertEquals(rest, {
    did: ALICE,
    room,
    role: "writer",
    expiresAt: new Date(it.clock.now() + 30_000).toISOString(),
    protocols: ["authorization", ticket],
    url: `wss://sync.example.com/sync/${encodeURIComponent(room)}`,
  });
});

Deno.test("H5: Roomy's token call answers with a token and nothing else", async () => {
  await using it = await startService();
  const response = await it.callAs(`${TOKEN}?did=${ALICE}`);
  assertEquals(response.status, 200);
  const { token, ...rest } = await response.json();
  assertMatch(token, /^[A-Za-z0-9_-]{43}$/);
  assertEquals(rest, {});
});

Deno.test("H6: whatever is not there is a 404, and a known path with another method a 405", async () => {
  await using it = await startService();
  for (const path of ["/nope", "/xrpc/com.example.sync.nope", "/xrpc/", "/livez/x", "/syncx"]) {
    assertEquals(await errorOf(await it.call(path)), [404, "NotFound"], path);
  }
  for (const [method, path] of PATHS) {
    const other = method === "GET" ? "POST" : "GET";
    const response = await it.call(path, { method: other });
    assertEquals(response.headers.get("allow"), method === "GET" ? "GET, HEAD" : "POST");
    assertEquals(await errorOf(response), [405, "MethodNotAllowed"], path);
    assertEquals((await it.call(path, { method: "DELETE" })).status, 405);
  }
  assertEquals((await it.call("/livez", { method: "HEAD" })).status, 200);
});

Deno.test("H7: a preflight is answered everywhere, and every answer may be read by allowed origins", async () => {
  const app = "https://app.example.com";
  const preflight = { method: "OPTIONS", headers: { origin: app } };
  const allowed = (response: Response) => response.headers.get("access-control-allow-origin");
  await using everyone = await startService();
  await using some = await startService({ corsOrigins: [app] });
  for (const path of [...PATHS.map(([, path]) => path), "/nope"]) {
    const response = await everyone.call(path, preflight);
    assertEquals([response.status, allowed(response)], [204, "*"]);
    assert(response.headers.get("access-control-allow-headers")!.includes("authorization"));
  }
  assertEquals(allowed(await everyone.call("/nope")), "*");
  for (const origin of [app, "https://evil.example.com"]) {
    const response = await some.call("/", { headers: { origin } });
    assertEquals(allowed(response), origin === app ? app : null);
    assert(response.headers.get("vary")!.includes("origin"), "a cache would mix origins up");
  }
});

Deno.test("H8: livez says that the process runs, readyz and health that the store answers", async () => {
  await using it = await startService();
  const status = async (path: string) => (await it.call(path)).status;
  assertEquals(await Promise.all(["/livez", "/readyz", "/health"].map(status)), [200, 200, 200]);
  const broken = await startService({ kv: await closedKv() });
  const readyz = await broken.call("/readyz");
  assertEquals(readyz.status, 503);
  assertEquals((await readyz.json()).reason, "the store does not answer");
  assertEquals((await broken.call("/livez")).status, 200);
  await broken[Symbol.asyncDispose]();
});

Deno.test("H30: readyz proves that the store can be written, with one write a second whoever asks", async () => {
  await using it = await startService();
  let writes = 0;
  let failure: string | null = null;
  const set = it.kv.set.bind(it.kv);
  it.kv.set = (key, value, options) => {
    writes++;
    return failure === null ? set(key, value, options) : Promise.reject(new TypeError(failure));
  };
  const asks = () => Promise.all(Array.from({ length: 50 }, () => it.call("/readyz")));
  const statuses = async () => [...new Set((await asks()).map(({ status }) => status))];
  assertEquals(await statuses(), [200]);
  assertEquals(writes, 1);
  it.clock.advance(1_000);
  failure = "database or disk is full";
  assertEquals(await statuses(), [503]);
  const body = await (await it.call("/readyz")).json();
  assertEquals(body.reason, "the disk of the store is full");
  assertEquals(writes, 2);
  const ticket = await it.callAs(GET_TICKET, { room: "x", did: ALICE });
  assertEquals(await errorOf(ticket), [503, "StoreUnavailable"]);
  assertEquals(ticket.headers.get("retry-after"), "5");
  failure = null;
  // One call finds out that there is space again, and while it does the others still fail.
  for (let second = 0; second < 60 && (await statuses()).includes(503); second++) {
    it.clock.advance(1_000);
  }
  assertEquals(await statuses(), [200]);
  assertEquals((await it.callAs(GET_TICKET, { room: "x", did: ALICE })).status, 200);
});

Deno.test("H21: however many ask at once whether it is ready, the store is asked once", async () => {
  await using it = await startService();
  await it.service.ready;
  let asked = 0;
  const answer = Promise.withResolvers<void>();
  const { get } = it.kv;
  it.kv.get = async (...args: Parameters<typeof get>) => {
    asked++;
    await answer.promise;
    return await get.apply(it.kv, args) as never;
  };
  const probes = Array.from({ length: 100 }, () => it.call("/readyz"));
  await until(() => asked > 0);
  answer.resolve();
  assertEquals(new Set((await Promise.all(probes)).map(({ status }) => status)), new Set([200]));
  assertEquals(asked, 1);
});

async function closedKv(): Promise<Deno.Kv> {
  const kv = await Deno.openKv(":memory:");
  kv.close();
  return kv;
}

Deno.test("H9: what is wrong with an input is said, after who calls is known", async () => {
  await using it = await startService();
  const cases: [unknown, number, string][] = [
    ["{", 400, "InvalidRequest"],
    ["null", 400, "InvalidRequest"],
    ["[]", 400, "InvalidRequest"],
    [{ did: ALICE }, 400, "InvalidRequest"],
    [{ did: ALICE, room: 7 }, 400, "InvalidRequest"],
    [{ did: "alice", room: "x" }, 400, "InvalidRequest"],
    [{ room: "x" }, 400, "InvalidRequest"],
    [{ did: ALICE, room: "" }, 400, "InvalidRequest"],
    [{ did: ALICE, room: "a\u0000b" }, 400, "InvalidRoom"],
    [{ did: ALICE, room: ".." }, 400, "InvalidRoom"],
    [`{"did":"${ALICE}","room":"\\ud800"}`, 400, "InvalidRoom"],
    [{ did: ALICE, room: "ä".repeat(257) }, 400, "InvalidRequest"],
    [{ did: ALICE, room: "x".repeat(20_000) }, 413, "PayloadTooLarge"],
  ];
  for (const [body, status, name] of cases) {
    assertEquals(await errorOf(await it.callAs(GET_TICKET, body)), [status, name]);
  }
  assertEquals((await it.callAs(GET_TICKET, { did: ALICE, room: "ä".repeat(256) })).status, 200);
  const stranger = await it.call(GET_TICKET, { method: "POST", body: "{" });
  assertEquals(await errorOf(stranger), [401, "AuthMissing"]);
});

Deno.test("H10: who is not known gets a 401 that says how to be", async () => {
  await using it = await startService();
  const authorizations = [undefined, "", "Basic YTpi", `Bearer`, `Bearer nonsense`];
  const answers = await Promise.all(authorizations.map(async (authorization) => {
    const response = await it.call(GET_TICKET, {
      method: "POST",
      headers: authorization === undefined ? {} : { authorization },
      body: JSON.stringify({ room: "x", did: ALICE }),
    });
    assert(response.headers.get("www-authenticate")!.startsWith("Bearer "));
    return await errorOf(response);
  }));
  assertEquals(answers, [
    ...Array(4).fill([401, "AuthMissing"]),
    [401, "BadJwt"],
  ]);
});

Deno.test("H11: who is proven to be one DID cannot ask for another's ticket", async () => {
  await using it = await startService({
    auth: { authenticate: () => Promise.resolve({ did: BOB }) },
  });
  const ask = (did?: string) =>
    it.call(GET_TICKET, {
      method: "POST",
      headers: { authorization: "Bearer bob's" },
      body: JSON.stringify({ room: "x", did }),
    });
  assertEquals(await errorOf(await ask(ALICE)), [403, "Forbidden"]);
  assertEquals((await (await ask(BOB)).json()).did, BOB);
  assertEquals((await (await ask()).json()).did, BOB);
});

Deno.test("H12: an error that nobody foresaw is a 500 that tells nothing", async () => {
  await using it = await startService({
    auth: { authenticate: () => Promise.reject(new Error(`secret ${DEV_TOKEN}`)) },
    devToken: null,
  });
  const response = await it.callAs(GET_TICKET, { room: "x" });
  const text = await response.text();
  assertEquals(response.status, 500);
  assertEquals(JSON.parse(text).error, "InternalServerError");
  assert(!text.includes("secret"), text);
});

Deno.test("H13: a service that stops takes nothing new, and says when to come back", async () => {
  const it = await startService();
  const stopping = it.service.shutdown();
  const response = await it.callAs(GET_TICKET, { room: "x", did: ALICE });
  assertEquals(response.headers.get("retry-after"), "1");
  assertEquals(await errorOf(response), [503, "ShuttingDown"]);
  assertEquals((await it.call("/readyz")).status, 503);
  assertEquals((await it.call("/livez")).status, 200);
  await stopping;
  it.kv.close();
});

Deno.test("H14: every answer tells a browser to make nothing else of it", async () => {
  await using it = await startService();
  for (const path of ["/", "/lexicons", "/nothing/here", "/sync/notes", "/livez"]) {
    const { headers } = await it.call(path, { headers: { accept: "text/html" } });
    assertEquals(headers.get("x-content-type-options"), "nosniff", path);
    assert(headers.get("content-security-policy")!.includes("default-src 'none'"), path);
    assertEquals(headers.get("referrer-policy"), "no-referrer", path);
    assertEquals(headers.get("strict-transport-security"), "max-age=31536000", path);
  }
  await using local = await startService({ publicUrl: "http://localhost:8000" });
  const { headers } = await local.call("/");
  assertEquals(headers.get("strict-transport-security"), null);
});

Deno.test("H15: while the store does not answer, a call is told so within ten seconds, and opens no socket later", async () => {
  await using it = await startService();
  await it.service.ready;
  const release = it.holdCommits();
  const answer = it.callAs(GET_TICKET, { room: "x", did: ALICE });
  let status = 0;
  answer.then((response) => status = response.status);
  await until(() => (it.clock.advance(1_000), status !== 0));
  assertEquals((await answer).headers.get("retry-after"), "5");
  assertEquals(await errorOf(await answer), [503, "StoreUnavailable"]);
  release();
});

Deno.test("H16: a body that does not come is waited for five seconds, whoever sends it", async () => {
  await using it = await startService();
  await it.service.ready;
  let drips = 0;
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      controller.enqueue(new TextEncoder().encode(" "));
      if (++drips > 3) await new Promise(() => {});
    },
  });
  const headers = { authorization: `Bearer ${DEV_TOKEN}` };
  const answer = it.call(GET_TICKET, { method: "POST", headers, body });
  await until(() => drips > 3);
  it.clock.advance(5_000);
  assertEquals(await errorOf(await answer), [408, "RequestTimeout"]);
});

Deno.test("H15: what fails while the store does is its fault, and said so", async () => {
  await using it = await startService({
    auth: { authenticate: () => Promise.reject(new Error("the store failed")) },
    devToken: null,
  });
  it.kv.get = () => Promise.reject(new Error("no store"));
  assertEquals(await errorOf(await it.callAs(GET_TICKET, { room: "x" })), [
    503,
    "StoreUnavailable",
  ]);
});
