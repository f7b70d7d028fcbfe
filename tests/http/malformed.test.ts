import { assert, assertEquals } from "@std/assert";
import { ALICE, DEV_TOKEN, GET_TICKET, startService, TOKEN } from "./service.ts";
import { listen } from "./listen.ts";
import { rawRequest, sendRaw } from "./raw.ts";

/** A body that never comes, and whether somebody waits for it. */
function absentBody() {
  let pulls = 0;
  // The first pull is the stream's own: it fills its queue of one before anybody reads.
  const body = new ReadableStream({ pull: () => (pulls++, new Promise<void>(() => {})) }, {
    highWaterMark: 0,
  });
  return { body, isRead: () => pulls > 0 };
}

const errorOf = async (response: Response) => [response.status, (await response.json()).error];

Deno.test("H17: a malformed Host header is a 400", async () => {
  await using it = await listen();
  const hosts = ["a:b:c", "[::1", "a b", "<>", "%%%", "x@y", "x/livez", "?", "#", "x:99999", "ä"];
  for (const host of hosts) {
    assertEquals(await sendRaw(it.port, rawRequest("GET", "/", host)), 400, host);
  }
  // Deno 2.5 has no URL for a request without a host.
  const none = Deno.version.deno.startsWith("2.5.") ? [] : [""];
  for (const host of ["x", "x:1", "a_b.example", "[::1]:8000", "192.0.2.1", ...none]) {
    assertEquals(await sendRaw(it.port, rawRequest("GET", "/", host)), 200, host);
  }
});

Deno.test("H17: no target of a request is a fault of the service", async () => {
  await using it = await listen();
  const targets = [
    "/%zz",
    "http://evil/livez",
    "*",
    "//x",
    "http://[::1/",
    "http://a:b:c/",
    "/\\..",
  ];
  const more = [
    "?x",
    "evil:80",
    "/sync/%E0%A4%A",
    "/lexicons/%ff",
    `${TOKEN}?did=%ff&did=x`,
    "/\0",
  ];
  for (const method of ["GET", "HEAD", "OPTIONS", "CONNECT", "TRACE", "BREW"]) {
    for (const target of [...targets, ...more]) {
      const status = await sendRaw(it.port, rawRequest(method, target));
      assert(status === null || status < 500, `${method} ${target}: ${status}`);
    }
  }
});

Deno.test("H17: a malformed request is counted as any other", async () => {
  await using it = await listen({ limits: { requestsPerAddress: 3 } });
  const statuses = [];
  for (let n = 0; n < 5; n++) {
    statuses.push(await sendRaw(it.port, rawRequest("GET", "/livez", "a:b:c")));
  }
  assertEquals(statuses, [400, 400, 400, 429, 429]);
});

Deno.test("H18: who brings no token that can be read is told so before the body is read", async () => {
  await using it = await startService();
  for (const authorization of ["", "Basic YTpi", "Bearer nonsense"]) {
    const { body, isRead } = absentBody();
    const headers = { authorization };
    const response = await it.call(GET_TICKET, { method: "POST", headers, body });
    assertEquals([response.status, isRead()], [401, false], authorization);
  }
});

Deno.test("H18: a body that is announced as too large is not read", async () => {
  await using it = await startService();
  const { body, isRead } = absentBody();
  const headers = { authorization: `Bearer ${DEV_TOKEN}`, "content-length": "16385" };
  const response = await it.call(GET_TICKET, { method: "POST", headers, body });
  assertEquals([...await errorOf(response), isRead()], [413, "PayloadTooLarge", false]);
});

Deno.test("H19: a body that is not JSON, or does not arrive whole, is a 400 that says so", async () => {
  await using it = await startService();
  const broken = new ReadableStream({ pull: (stream) => stream.error(new Error("cut off")) });
  const bodies: BodyInit[] = ["", "room=notes", "{", new Uint8Array([123, 255, 125]), broken];
  for (const body of bodies) {
    const headers = { authorization: `Bearer ${DEV_TOKEN}` };
    const response = await it.call(GET_TICKET, { method: "POST", headers, body });
    const { error, message } = await response.json();
    assertEquals([response.status, error], [400, "InvalidRequest"]);
    assert(/must be JSON|could not be read/.test(message), message);
  }
});

Deno.test("H19: malformed chunks of a body are a 400", async () => {
  await using it = await listen();
  const head = `POST ${GET_TICKET} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${DEV_TOKEN}\r\n` +
    "transfer-encoding: chunked\r\nconnection: close\r\n\r\n";
  for (const chunks of [`1;x=${"x".repeat(30_000)}\r\n{\r\n0\r\n\r\n`, "zz\r\n{}\r\n0\r\n\r\n"]) {
    const status = await sendRaw(it.port, head + chunks);
    assert(status === null || status === 400, `${status}`);
  }
});

Deno.test("N30: one address has so many requests at once, and others are answered meanwhile", async () => {
  await using it = await startService({
    limits: { requestsAtOncePerAddress: 2 },
    trustedProxies: [],
  });
  await it.service.ready;
  const release = it.holdCommits();
  const ask = (hostname: string) =>
    it.service.fetch(
      new Request(`https://sync.example.com${GET_TICKET}`, {
        method: "POST",
        headers: { authorization: `Bearer ${DEV_TOKEN}` },
        body: JSON.stringify({ room: "x", did: ALICE }),
      }),
      {
        remoteAddr: { transport: "tcp", hostname, port: 1 },
        completed: Promise.resolve(),
      },
    );
  const waiting = [ask("192.0.2.1"), ask("192.0.2.1"), ask("192.0.2.2")];
  const refused = await ask("192.0.2.1");
  assertEquals(refused.headers.get("retry-after"), "5");
  assertEquals(await errorOf(refused), [429, "RateLimitExceeded"]);
  release();
  assertEquals((await Promise.all(waiting)).map(({ status }) => status), [200, 200, 200]);
  assertEquals((await ask("192.0.2.1")).status, 200);
});
