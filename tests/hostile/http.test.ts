/** HTTP requests that cost more than they are worth, or are not HTTP. */
import { assert, assertEquals } from "@std/assert";
import { DEV_TOKEN } from "../outside/clients.ts";
import { RawLine } from "./raw_line.ts";
import { dose, MALLORY, Target, testLong, within } from "./target.ts";
import { repeated } from "./wire.ts";

const METHOD = "/xrpc/chat.roomy.v0.sync.getTicket";

const text = (words: string) => new TextEncoder().encode(words);

/** The status of the answer to a request as it is; 0 if the server hangs up without one. */
async function statusOf(target: Target, request: string): Promise<number> {
  using line = await RawLine.connect(target.url);
  await line.write(text(request));
  const head = await within(5_000, line.readHead().catch(() => ""), "HTTP/1.1 -1");
  return Number(head.split(" ")[1] ?? 0);
}

/** What the log says of errors that nobody foresaw: of each, the beginning. */
const unforeseen = (target: Target) =>
  target.server.log.filter((line) => /"ERROR"|InternalServerError|^\s+at /.test(line))
    .map((line) => line.slice(0, 200));

Deno.test("HP8: calls without a body or a token take no place from others", async () => {
  await using target = await Target.start({ TRUSTED_PROXIES: "127.0.0.1" });
  const count = dose(1_200, 1_200);
  const BATCH = 100;
  const lines: RawLine[] = [];
  let [served, unauthenticated] = [0, 0];
  await target.withstands(`HP8 (A8), ${count} POSTs without token or body`, async () => {
    const head = `POST ${METHOD} HTTP/1.1\r\nhost: x\r\nx-forwarded-for: 198.51.100.1\r\n`;
    // No token; one that cannot be read; and a good one, whose body does not come.
    const tokens = ["", "authorization: Bearer abc\r\n", `authorization: Bearer ${DEV_TOKEN}\r\n`];
    while (lines.length < count) {
      const batch = await Promise.all(
        Array.from({ length: BATCH }, () => RawLine.connect(target.url)),
      );
      await Promise.all(
        batch.map((line, n) =>
          line.write(text(`${head}${tokens[n % 3]}content-length: 100\r\n\r\n`))
        ),
      );
      lines.push(...batch);
    }
    for (let n = 0; n < 50; n++) {
      const response = await fetch(`${target.url}${METHOD}`, {
        method: "POST",
        headers: { "authorization": `Bearer ${DEV_TOKEN}`, "x-forwarded-for": `203.0.113.${n}` },
        body: JSON.stringify({ did: `did:web:other${n}.example`, room: `other ${n}` }),
      });
      await response.body?.cancel();
      if (response.ok) served++;
    }
    const answers = await Promise.all(
      lines.slice(0, 2).map((line) => within(2_000, line.readHead(), "HTTP/1.1 0")),
    );
    unauthenticated = answers.filter((head) => head.startsWith("HTTP/1.1 401 ")).length;
    return `${served} of 50 others served; without a good token: ${
      answers.map((head) => head.split(" ")[1])
    }`;
  }, { isWork: true });
  lines.forEach((line) => line.close());
  assertEquals([served, unauthenticated], [50, 2]);
});

Deno.test("HP12: a Host that is none is 400, counted, and one line in the log", async () => {
  const most = 300;
  await using target = await Target.start({ REQUESTS_PER_ADDRESS: String(most) });
  const hosts = ["a:b:c", "[::1", "a b", "<>", "x\x7f", "@", "a/b", "http://x", ":80", ""];
  const statuses = new Map<number, number>();
  const count = dose(400, 2_000);
  await target.withstands(`HP12 (A12), ${count} bad Hosts`, async () => {
    for (let n = 0; n < count; n++) {
      const host = hosts[n % hosts.length];
      const status = await statusOf(target, `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    }
    const all = [...statuses].map(([status, times]) => `${times} x ${status}`).join(", ");
    return `${all}; ${unforeseen(target).length} lines about errors`;
  }, { isWork: true });
  assert([...statuses.keys()].every((status) => status < 500), "none is an error of ours");
  assert((statuses.get(429) ?? 0) > 0, "they count as requests");
  assertEquals(unforeseen(target).slice(0, 3), []);
});

Deno.test("HP13: no request, however odd, is an error of ours", async () => {
  await using target = await Target.start();
  const call = (method: string, query: string) =>
    `GET /xrpc/chat.roomy.v0.sync.${method}?did=${MALLORY}&${query} HTTP/1.1\r\nhost: x\r\n` +
    `authorization: Bearer ${DEV_TOKEN}\r\n\r\n`;
  const post = (headers: string, body: string) =>
    `POST ${METHOD} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${DEV_TOKEN}\r\n${headers}\r\n\r\n${body}`;
  const chunked = "transfer-encoding: chunked";
  const long = "x".repeat(30_000);
  const requests: Record<string, string> = {
    "a cursor of 3,000 characters": call("listRooms", `cursor=${"c".repeat(3_000)}`),
    "a chunk extension of 30 KB": post(chunked, `2;${long}\r\n{}\r\n0\r\n\r\n`),
    "a cursor of bytes that are no UTF-8": call("listRooms", `cursor=%ff%fe`),
    "a cursor of listEvents": call("listEvents", `room=square&cursor=${"9".repeat(3_000)}`),
    "a limit beyond all numbers": call("listRooms", `limit=${"9".repeat(400)}`),
    "a limit that is NaN": call("listRooms", `limit=NaN`),
    "a trailer of 30 KB": post(chunked, `2\r\n{}\r\n0\r\nx: ${long}\r\n\r\n`),
    "a chunk of no size": post(chunked, `zz\r\n{}\r\n0\r\n\r\n`),
    "a chunk of 2^64 bytes": post(chunked, `ffffffffffffffffff\r\n{}\r\n0\r\n\r\n`),
    "a negative length": post("content-length: -1", "{}"),
    "two lengths": post("content-length: 2\r\ncontent-length: 3", "{}"),
    "a length and chunks": post(`content-length: 2\r\n${chunked}`, "0\r\n\r\n"),
    "a body that is no JSON": post("content-length: 2", "{]"),
    "a body nested 7,000 deep": post(
      "content-length: 14000",
      "[".repeat(7_000) + "]".repeat(7_000),
    ),
    "a header of 30 KB": `GET / HTTP/1.1\r\nhost: x\r\nx-long: ${long}\r\n\r\n`,
    "a path of 30 KB": `GET /sync/${long} HTTP/1.1\r\nhost: x\r\n\r\n`,
    "a path that is no UTF-8": `GET /sync/%ff HTTP/1.1\r\nhost: x\r\n\r\n`,
    "no path": `GET  HTTP/1.1\r\nhost: x\r\n\r\n`,
    "no method": `\x01\x02\x03 / HTTP/1.1\r\nhost: x\r\n\r\n`,
    "an address as path": `GET http://[/ HTTP/1.1\r\nhost: x\r\n\r\n`,
    "CONNECT": `CONNECT example.com:443 HTTP/1.1\r\nhost: x\r\n\r\n`,
    "TRACE": `TRACE / HTTP/1.1\r\nhost: x\r\n\r\n`,
  };
  const wrong: string[] = [];
  const statuses: string[] = [];
  await target.withstands("HP13 (A13), each of them", async () => {
    for (const [name, request] of Object.entries(requests)) {
      const status = await statusOf(target, request);
      statuses.push(`${name}: ${status}`);
      if (status >= 500 || status < 0) wrong.push(`${name}: ${status}`);
    }
    return `wrong: ${wrong}`;
  }, { isWork: true });
  assertEquals(wrong, []);
  assertEquals(statuses.slice(0, 2), [
    "a cursor of 3,000 characters: 400",
    "a chunk extension of 30 KB: 400",
  ]);
  assertEquals(unforeseen(target).slice(0, 3), []);
});

Deno.test("HP31: requests in one go whose answers nobody reads are not answered all at once", async () => {
  await using target = await Target.start();
  const count = dose(2_000, 5_500);
  const request = text("GET /lexicons HTTP/1.1\r\nhost: x\r\n\r\n");
  await target.withstands(`HP31, ${count} requests in one go, unread`, async () => {
    using line = await RawLine.connect(target.url);
    await line.flood(repeated(request, 100), count / 100, 3_000);
    return `${(line.written / 1024).toFixed(0)} KB sent`;
  }, { isWork: true });
});

testLong(
  "HP32: a flood of health checks, which no limit counts, costs the store nothing more",
  async () => {
    await using target = await Target.start();
    const count = dose(2_000, 10_000);
    let served = 0;
    await target.withstands(`HP32, ${count} x /readyz`, async () => {
      for (let n = 0; n < count; n += 50) {
        const answers = await Promise.all(
          Array.from(
            { length: 50 },
            () => statusOf(target, "GET /readyz HTTP/1.1\r\nhost: x\r\n\r\n"),
          ),
        );
        served += answers.filter((status) => status === 200).length;
      }
      return `${served} answered with 200`;
    }, { isWork: true });
  },
);

testLong("HP26: tickets that nobody redeems leave nothing behind", async () => {
  await using target = await Target.start({
    REQUESTS_PER_ADDRESS: "1000000",
    CALLS_PER_DID: "1000000",
  });
  // What one address may ask for in a minute. Of more, memory follows the rate: 60,000 end at 360 MB.
  const count = dose(1_000, 6_000);
  let refused = 0;
  await target.withstands(`HP26, ${count} tickets`, async () => {
    for (let n = 0; n < count; n += 50) {
      const answers = await Promise.all(
        Array.from({ length: 50 }, () => target.call("getTicket", MALLORY, { room: "square" })),
      );
      refused += answers.filter(({ status }) => status !== 200).length;
    }
    return `${refused} refused`;
  }, { isWork: true });
  assertEquals(refused, 0);
});
