import { gzipSync } from "node:zlib";
import { assertEquals, assertObjectMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { didDirectory } from "../../src/did/did_directory.ts";
import { webFetch } from "../../src/did/did_web.ts";
import type { WebInternals } from "../../src/web/guarded_fetch.ts";
import { LookupFailure } from "../../src/web/lookup_failure.ts";
import { isPublicAddress } from "../../src/web/public_address.ts";
import { Authority, type Certificate } from "./certificates.ts";
import { FakePlc } from "./fake_plc.ts";
import { documentOf, makeAccount, plcDid } from "../auth/service_jwt_maker.ts";

const HOST = "host.example.com";
const DOCUMENT_URL = `https://${HOST}/.well-known/did.json`;

const authority = await Authority.create();
const certificate = await authority.issue(HOST);

/** Deno 2.5 trusts no authority of our own: there these tests have no host to ask. */
const isOld = Deno.version.deno.startsWith("2.5.");
if (isOld) {
  console.error("SKIPPED: what a host of did:web answers, which Deno 2.5 cannot be shown.");
}

function testHost(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, ignore: isOld, fn });
}

/** An https host on this machine, and a fetch that finds it under the name of a public host. */
class Host implements AsyncDisposable {
  requests: { line: string; headers: Headers }[] = [];
  /** How often its name was resolved. */
  resolved = 0;
  #stop = new AbortController();
  #server: Deno.HttpServer<Deno.NetAddr>;

  constructor(handler: (request: Request) => Response | Promise<Response>, tls = certificate) {
    const { signal } = this.#stop;
    const options = { port: 0, hostname: "127.0.0.1", onListen() {}, signal, ...tls };
    this.#server = Deno.serve(options, (request) => {
      const line = `${request.method} ${new URL(request.url).pathname}`;
      this.requests.push({ line, headers: new Headers(request.headers) });
      return handler(request);
    });
  }

  /** Fetches its DID document. `internals` replace what makes this host look like a public one. */
  fetch(internals: Partial<WebInternals> = {}, signal?: AbortSignal): Promise<Response> {
    const fetch = webFetch({
      resolve: () => {
        this.resolved++;
        return Promise.resolve([{ address: "127.0.0.1", family: 4 }]);
      },
      isAllowed: () => true,
      port: this.#server.addr.port,
      ca: authority.pem,
      ...internals,
    });
    return fetch(DOCUMENT_URL, signal && { signal });
  }

  async [Symbol.asyncDispose]() {
    this.#stop.abort();
    await this.#server.finished;
  }
}

/** A host that sends the same bytes over and over, once it was asked; or none, not even a handshake. */
class RawHost implements Disposable {
  #listener: Deno.Listener;
  #connections: Deno.Conn[] = [];

  constructor(bytes: string) {
    const options = { port: 0, hostname: "127.0.0.1" };
    this.#listener = bytes ? Deno.listenTls({ ...options, ...certificate }) : Deno.listen(options);
    this.#accept(new TextEncoder().encode(bytes)).catch(() => {/* The other side hung up. */});
  }

  fetch(timeout: number): Promise<Response> {
    const { port } = this.#listener.addr as Deno.NetAddr;
    const resolve = () => Promise.resolve([{ address: "127.0.0.1", family: 4 }]);
    const fetch = webFetch({ resolve, isAllowed: () => true, port, ca: authority.pem });
    return fetch(DOCUMENT_URL, { signal: AbortSignal.timeout(timeout) });
  }

  async #accept(bytes: Uint8Array) {
    const connection = await this.#listener.accept();
    this.#connections.push(connection);
    if (bytes.length > 0) await connection.read(new Uint8Array(4096));
    while (bytes.length > 0) await connection.write(bytes);
  }

  [Symbol.dispose]() {
    this.#listener.close();
    for (const connection of this.#connections) connection.close();
  }
}

/** Fails unless `attempt` fails for the reason that is given, and with what says who may stand in. */
async function assertFails(
  attempt: Promise<unknown>,
  words: string,
  { unreachable } = { unreachable: false },
) {
  const failure = await assertRejects(() => attempt, LookupFailure);
  assertStringIncludes(`${failure.message} ${failure.cause}`, words);
  assertEquals(failure.unreachable, unreachable, words);
  return failure;
}

/** A body without end: 1 KB at a time, or a byte after each pause. */
function endless(pause = 0, cancel?: () => void): ReadableStream<Uint8Array> {
  return new ReadableStream({
    cancel,
    async pull(controller) {
      if (pause) await new Promise((resolve) => setTimeout(resolve, pause));
      controller.enqueue(new Uint8Array(pause ? 1 : 1024).fill(32));
    },
  });
}

testHost(
  "F1: the document comes from https://<host>/.well-known/did.json, by a name resolved once",
  async () => {
    await using host = new Host(() => Response.json({ id: `did:web:${HOST}` }));
    assertEquals(await (await host.fetch()).json(), { id: `did:web:${HOST}` });
    const [request] = host.requests;
    assertEquals(request?.line, "GET /.well-known/did.json");
    assertEquals(request?.headers.get("host")?.split(":")[0], HOST);
    assertEquals([host.requests.length, host.resolved], [1, 1]);
  },
);

Deno.test("F2: no port, user, path, query, scheme or address in place of a host name", async () => {
  const urls = [
    `http://${HOST}/.well-known/did.json`,
    `https://${HOST}:8443/.well-known/did.json`,
    `https://user:pw@${HOST}/.well-known/did.json`,
    `https://${HOST}/.well-known/did.json?x`,
    `https://${HOST}/.well-known/did.json#x`,
    `https://${HOST}/other`,
    `https://${HOST}./.well-known/did.json`,
    "https://localhost/.well-known/did.json",
    "http://localhost:8080/.well-known/did.json",
    "https://intranet/.well-known/did.json",
    "https://127.0.0.1/.well-known/did.json",
    "https://8.8.8.8/.well-known/did.json",
    "https://2130706433/.well-known/did.json",
    "https://0x7f000001/.well-known/did.json",
    "https://0177.0.0.1/.well-known/did.json",
    "https://127.1/.well-known/did.json",
    "https://[::1]/.well-known/did.json",
    "https://[::ffff:127.0.0.1]/.well-known/did.json",
    "https://[2606:4700::1111]/.well-known/did.json",
  ];
  let resolved = 0;
  const fetch = webFetch({
    resolve: () => Promise.resolve([{ address: "127.0.0.1", family: resolved++ }]),
    isAllowed: () => true,
    port: 9,
    ca: undefined,
  });
  for (const url of urls) await assertFails(fetch(url), "a plain host name");
  assertEquals(resolved, 0);
});

Deno.test("F3: only addresses on the public Internet are public", () => {
  const bad = [
    ...["0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "127.255.0.1", "169.254.169.254"],
    ...["172.16.0.1", "192.0.0.1", "192.0.2.1", "192.168.0.1", "198.18.0.1", "203.0.113.1"],
    ...["224.0.0.1", "240.0.0.1", "255.255.255.255", "", "localhost", "127.0.0.1 "],
    ...["::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:7f00:1", "::ffff:10.0.0.1"],
    ...["64:ff9b::7f00:1", "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::"],
    ...["3fff::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1"],
  ];
  for (const address of bad) assertEquals(isPublicAddress(address), false, address);
  const good = ["1.1.1.1", "8.8.8.8", "::ffff:8.8.8.8", "2606:4700::1111", "2a00:1450:4001::1"];
  for (const address of good) assertEquals(isPublicAddress(address), true, address);
});

Deno.test("F4: a name with any address that is not public is refused before anything is sent", async () => {
  await using host = new Host(() => Response.json({}));
  const answers = [["127.0.0.1"], ["10.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["::1"], [
    "127.0.0.1",
    "8.8.8.8",
  ]];
  for (const answer of answers) {
    const addresses = answer.map((address) => ({ address, family: address.includes(":") ? 6 : 4 }));
    const attempt = host.fetch({
      resolve: () => Promise.resolve(addresses),
      isAllowed: isPublicAddress,
    });
    await assertFails(attempt, "not on the public Internet");
  }
  assertEquals(host.requests.length, 0);
});

Deno.test("F5: a name without an address is a host that can't be reached", async () => {
  await using host = new Host(() => Response.json({}));
  const nothing = host.fetch({ resolve: () => Promise.resolve([]) });
  await assertFails(nothing, "can't be reached", { unreachable: true });
  const failing = host.fetch({ resolve: () => Promise.reject(new Error("ENOTFOUND")) });
  await assertFails(failing, "can't be reached", { unreachable: true });
});

testHost("F6: redirects are not followed", async () => {
  for (const status of [301, 302, 303, 307, 308]) {
    const headers = { location: "http://169.254.169.254/" };
    await using host = new Host(() => new Response(null, { status, headers }));
    await assertFails(host.fetch(), `status ${status}`);
    assertEquals(host.requests.length, 1);
  }
});

testHost("F7: a body stops at 48 KB, announced or not", async () => {
  const largest = new Uint8Array(48 * 1024).fill(32);
  await using fits = new Host(() => new Response(largest));
  assertEquals((await (await fits.fetch()).arrayBuffer()).byteLength, largest.length);
  await using announced = new Host(() => new Response(new Uint8Array(largest.length + 1)));
  await assertFails(announced.fetch(), "larger than 48 KB");
  const cancelled = Promise.withResolvers<void>();
  await using chunked = new Host(() => new Response(endless(0, cancelled.resolve)));
  await assertFails(chunked.fetch(), "larger than 48 KB");
  // The host sees us hang up: we do not let it go on sending.
  await cancelled.promise;
});

testHost("F7: headers stop too, as do interim responses", async () => {
  using headers = new RawHost(`HTTP/1.1 200 OK\r\n${`x: ${"a".repeat(1000)}\r\n`.repeat(64)}`);
  await assertFails(headers.fetch(3_000), "can't be reached", { unreachable: true });
  using hints = new RawHost("HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n".repeat(64));
  await assertFails(hints.fetch(3_000), "interim response");
});

testHost("F8: all of it, a slow drip too, has one time limit", async () => {
  const cancelled = Promise.withResolvers<void>();
  await using drip = new Host(() => new Response(endless(5, cancelled.resolve)));
  const late = await assertFails(drip.fetch({}, AbortSignal.timeout(60)), "took too long", {
    unreachable: true,
  });
  assertEquals([late.name, late.status], ["UpstreamTimeout", 504]);
  await cancelled.promise;
  const silence = Promise.withResolvers<Response>();
  await using silent = new Host(() => silence.promise);
  const signal = AbortSignal.timeout(60);
  await assertFails(silent.fetch({}, signal), "took too long", { unreachable: true });
  silence.resolve(new Response());
  using mute = new RawHost("");
  await assertFails(mute.fetch(60), "took too long", { unreachable: true });
  const dns = silent.fetch({ resolve: () => new Promise(() => {}) }, AbortSignal.timeout(20));
  await assertFails(dns, "took too long", { unreachable: true });
});

testHost("F9: a compressed body is refused, and none is asked for", async () => {
  const bomb = new Uint8Array(gzipSync(new Uint8Array(10_000_000)));
  await using host = new Host(() =>
    new Response(bomb, { headers: { "content-encoding": "gzip" } })
  );
  await assertFails(host.fetch(), "compressed");
  assertEquals(host.requests[0]?.headers.get("accept-encoding"), "identity");
});

testHost("F10: the certificate must be valid, current and for this name", async () => {
  const stranger = await Authority.create();
  const bad: Record<string, Certificate> = {
    "of a stranger": await stranger.issue(HOST),
    "for another name": await authority.issue("other.example.com"),
    "expired": await authority.issue(HOST, { expired: true }),
  };
  for (const [what, tls] of Object.entries(bad)) {
    await using host = new Host(() => Response.json({}), tls);
    const failure = await assertFails(host.fetch(), "ertificate", { unreachable: true });
    assertEquals([what, failure.status, host.requests.length], [what, 502, 0]);
  }
  await using host = new Host(() => Response.json({}));
  await assertFails(host.fetch({ ca: undefined }), "ertificate", { unreachable: true });
});

testHost(
  "F11: 404 and 410 say that the DID does not exist; a 5xx or 429 says nothing about it",
  async () => {
    for (const status of [404, 410]) {
      const cancelled = Promise.withResolvers<void>();
      await using host = new Host(() => new Response(endless(5, cancelled.resolve), { status }));
      assertEquals((await host.fetch()).status, 404);
      await cancelled.promise;
    }
    for (const status of [429, 500, 503]) {
      await using host = new Host(() => new Response("busy", { status }));
      await assertFails(host.fetch(), `status ${status}`, { unreachable: true });
    }
    for (const status of [204, 401, 403]) {
      await using host = new Host(() => new Response(null, { status }));
      await assertFails(host.fetch(), `status ${status}`);
    }
  },
);

Deno.test("F12: the PLC directory is held to the same limits", async () => {
  await using plc = new FakePlc();
  const alice = await makeAccount(plcDid("alice"));
  const directory = didDirectory({ plcUrl: plc.url, allowLocalDids: false, timeout: 100 });
  const lookUp = () => directory.lookUp(alice.did);
  assertEquals(await lookUp(), null);
  plc.answer(alice.did, () => Response.json({ message: "tombstone" }, { status: 410 }));
  assertEquals(await lookUp(), null);
  plc.publish(documentOf(alice));
  assertObjectMatch((await lookUp())!, documentOf(alice));

  const unusable: [string, () => Response][] = [
    ["larger than 48 KB", () => new Response(endless())],
    ["not JSON", () => new Response("<html>")],
    ["not a DID document", () => Response.json({ ...documentOf(alice), id: plcDid("bob") })],
    ["not a DID document", () => Response.json([documentOf(alice)])],
    ["status 403", () => new Response(null, { status: 403 })],
  ];
  for (const [words, answer] of unusable) {
    plc.answer(alice.did, answer);
    const failure = await assertFails(lookUp(), words);
    assertEquals([failure.name, failure.status], ["UpstreamFailure", 502]);
  }
  const cancelled = Promise.withResolvers<void>();
  plc.answer(alice.did, () => new Response(endless(5, cancelled.resolve), { status: 503 }));
  await assertFails(lookUp(), "status 503", { unreachable: true });
  await cancelled.promise;
  plc.answer(alice.did, () => Response.redirect(`${plc.url}/${plcDid("bob")}`));
  await assertFails(lookUp(), "can't be reached", { unreachable: true });
  assertEquals(plc.asked(plcDid("bob")), 0);
  plc.answer(alice.did, () => new Response(endless(5)));
  const late = await assertFails(lookUp(), "took too long", { unreachable: true });
  assertEquals([late.name, late.status], ["UpstreamTimeout", 504]);
});

Deno.test("F13: did:web:localhost is looked up in development only", async () => {
  const asked: string[] = [];
  let did = "";
  const listen = { port: 0, hostname: "127.0.0.1", onListen() {} };
  await using server = Deno.serve(listen, (request) => {
    asked.push(new URL(request.url).pathname);
    return Response.json({ id: did });
  });
  did = `did:web:localhost%3A${server.addr.port}`;
  const options = { plcUrl: "http://localhost:9", allowLocalDids: false };
  await assertFails(didDirectory(options).lookUp(did), "a plain host name");
  assertEquals(asked, []);
  const local = didDirectory({ ...options, allowLocalDids: true });
  assertEquals((await local.lookUp(did))?.id, did);
  await assertFails(local.lookUp("did:web:127.0.0.1"), "a plain host name");
  assertEquals(asked, ["/.well-known/did.json"]);
});
