import { assert, assertEquals, assertThrows } from "@std/assert";
import * as fc from "fast-check";
import { Inflow } from "../../src/limits/inflow.ts";
import { DEFAULT_LIMITS, type Limits } from "../../src/limits/limits.ts";
import { Place } from "../../src/limits/occupancy.ts";
import { Refusal } from "../../src/refusal.ts";
import { Proxies } from "../../src/limits/proxies.ts";
import { handshake } from "../http/handshake.ts";
import { listen } from "../http/listen.ts";
import { ALICE, BOB, GET_TICKET, startService } from "../http/service.ts";
import { TestPeer } from "../sync/test_peer.ts";
import { settle, world } from "../sync/world.ts";
import { until } from "../until.ts";

/** The headers of a request that a proxy has passed on. */
const forwardedFor = (address: string) => ({ "x-forwarded-for": address });

/** A service behind a proxy at this machine's address: a test says who asks. */
const behindProxy = (limits: Partial<Limits>) =>
  listen({ limits, trustedProxies: ["127.0.0.1", "::1"] });

type Service = Awaited<ReturnType<typeof listen>>;

/** Opens a socket that stays open. */
async function join({ port, ticket }: Service, room: string, did = ALICE): Promise<TestPeer> {
  const [, protocol] = (await ticket(room, did)).split(", ");
  const socket = new WebSocket(`ws://127.0.0.1:${port}/sync/${room}`, ["authorization", protocol!]);
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = reject;
  });
  const peer = new TestPeer(did).joinOver(socket);
  await peer.hears("step2");
  return peer;
}

/** Resolves with how the peer was closed. The service waits for quiet first, and here time stands still. */
async function closed({ clock }: Service, peer: TestPeer) {
  await until(() => (clock.advance(50), peer.closed !== null));
  return peer.closed!;
}

Deno.test("N1: one address has so many requests a minute, whatever they ask for; its health is not counted", async () => {
  await using it = await behindProxy({ requestsPerAddress: 3 });
  const ask = async (path: string, address: string) => {
    const { status, headers, body } = await handshake(it.port, path, {
      ...forwardedFor(address),
      upgrade: null,
      connection: "close",
    });
    return { status, wait: Number(headers.get("retry-after")), body };
  };
  for (const path of ["/", "/nothing/here", "/sync/notes"]) {
    assert((await ask(path, "192.0.2.1")).status !== 429);
  }
  const { status, wait, body } = await ask("/", "192.0.2.1");
  assertEquals([status, JSON.parse(body).error], [429, "RateLimitExceeded"]);
  assert(wait >= 1 && wait <= 60);
  assertEquals((await ask("/sync/notes", "192.0.2.1")).status, 429);
  assertEquals((await ask("/livez", "192.0.2.1")).status, 200);
  assertEquals((await ask("/", "192.0.2.2")).status, 200);
});

Deno.test("N1: all addresses of an IPv6 /64 count as one, a mapped IPv4 address as itself", async () => {
  await using it = await startService({
    limits: { requestsPerAddress: 1 },
    trustedProxies: ["192.0.2.99"],
  });
  const ask = async (hostname: string) => {
    const remoteAddr = { transport: "tcp" as const, hostname, port: 1 };
    const info = { remoteAddr, completed: Promise.resolve() };
    return (await it.service.fetch(new Request("https://sync.example.com/"), info)).status;
  };
  assertEquals([await ask("2001:db8:0:1::1"), await ask("2001:db8:0:1:ffff::2")], [200, 429]);
  assertEquals(await ask("2001:db8:0:2::1"), 200);
  assertEquals([await ask("192.0.2.1"), await ask("::ffff:192.0.2.1")], [200, 429]);
});

Deno.test("N2: a proxy of ours is believed when it says for whom it asks, and nobody else", () => {
  const ours = new Proxies(["10.0.0.0/8", "::1", "fd00::/8"]);
  const cases: [peer: string, headers: Record<string, string>, address: string][] = [
    ["192.0.2.1", { "x-forwarded-for": "198.51.100.7" }, "192.0.2.1"],
    ["10.0.0.1", {}, "10.0.0.1"],
    ["10.0.0.1", { "x-forwarded-for": "198.51.100.7" }, "198.51.100.7"],
    ["::ffff:10.0.0.1", { "x-forwarded-for": "198.51.100.7" }, "198.51.100.7"],
    ["10.0.0.1", { "x-forwarded-for": "203.0.113.9, 198.51.100.7" }, "198.51.100.7"],
    ["10.0.0.1", { "x-forwarded-for": "198.51.100.7, 10.9.9.9,fd00::2" }, "198.51.100.7"],
    ["10.0.0.1", { "x-forwarded-for": "10.0.0.2, 10.0.0.3" }, "10.0.0.2"],
    ["10.0.0.1", { "x-forwarded-for": "[2001:db8::7]:4711" }, "2001:db8::7"],
    ["10.0.0.1", { "x-forwarded-for": "198.51.100.7:4711" }, "198.51.100.7"],
    ["10.0.0.1", { "x-forwarded-for": "2001:db8::7" }, "2001:db8::7"],
    ["10.0.0.1", { "x-forwarded-for": "::FFFF:198.51.100.7" }, "198.51.100.7"],
    ["10.0.0.1", { "x-forwarded-for": "203.0.113.9, not an address" }, "10.0.0.1"],
    ["10.0.0.1", { "x-forwarded-for": "203.0.113.9, unknown, 10.0.0.2" }, "10.0.0.2"],
    ["10.0.0.1", { "x-forwarded-for": "0x7f.1" }, "10.0.0.1"],
    ["10.0.0.1", { "x-forwarded-for": "fe80::1%any text" }, "10.0.0.1"],
    ["10.0.0.1", { "x-forwarded-for": "203.0.113.9,".repeat(10_000) }, "203.0.113.9"],
    ["10.0.0.1", { forwarded: "for=203.0.113.9", "x-real-ip": "203.0.113.9" }, "10.0.0.1"],
    ["::1", { "x-forwarded-for": " , ," }, "::1"],
    ["unknown", { "x-forwarded-for": "198.51.100.7" }, "unknown"],
  ];
  for (const [peer, headers, address] of cases) {
    assertEquals(ours.addressOf(peer, new Headers(headers)), address, JSON.stringify(headers));
  }
  const twice = new Headers([["x-forwarded-for", "203.0.113.9"], ["x-forwarded-for", "192.0.2.7"]]);
  assertEquals(ours.addressOf("10.0.0.1", twice), "192.0.2.7");
  const nobody = new Proxies([]);
  assertEquals(nobody.addressOf("10.0.0.1", new Headers(forwardedFor("192.0.2.1"))), "10.0.0.1");
});

Deno.test("N2: the header that counts is a setting, and no other is read", () => {
  const cases: [header: string, value: string, address: string][] = [
    ["Forwarded", 'for="[2001:db8::7]:4711";proto=https', "2001:db8::7"],
    ["forwarded", "proto=https; For=198.51.100.7 , for=10.1.1.1", "198.51.100.7"],
    ["Forwarded", "for=203.0.113.9, proto=https", "10.0.0.1"],
    ["Forwarded", "for=203.0.113.9, for=_hidden", "10.0.0.1"],
    ["Forwarded", 'for="198.51.100.7:_port"', "10.0.0.1"],
    ["X-Real-IP", "198.51.100.7", "198.51.100.7"],
    ["CF-Connecting-IP", "2001:DB8:0::7", "2001:db8::7"],
  ];
  for (const [header, value, address] of cases) {
    const forged = { forwarded: "for=203.0.113.9", "x-forwarded-for": "203.0.113.9" };
    const headers = new Headers(forged);
    headers.set(header, value);
    assertEquals(
      new Proxies(["10.0.0.0/8"], header).addressOf("10.0.0.1", headers),
      address,
      value,
    );
  }
});

Deno.test("N2: whatever a stranger writes before a proxy, it cannot choose its address", () => {
  fc.assert(fc.property(fc.string(), fc.boolean(), (junk, isForwarded) => {
    const [header, hops] = isForwarded
      ? ["forwarded", "for=198.51.100.7, for=10.0.0.2"]
      : ["x-forwarded-for", "198.51.100.7, 10.0.0.2"];
    const headers = new Headers();
    try {
      headers.set(header, `${junk}, ${hops}`);
    } catch {
      return; // no header
    }
    const ours = new Proxies(["10.0.0.0/8"], header);
    assertEquals(ours.addressOf("10.0.0.1", headers), "198.51.100.7");
  }));
});

Deno.test("N2: whatever a header holds, the address is an IP address", () => {
  const hop = fc.oneof(fc.string(), fc.ipV4(), fc.ipV6(), fc.ipV4().map((ip) => `${ip}:1`));
  fc.assert(
    fc.property(fc.array(hop), fc.constantFrom("Forwarded", "X-Real-IP"), (hops, header) => {
      const headers = new Headers();
      try {
        headers.set(header, hops.map((hop) => header === "Forwarded" ? `for=${hop}` : hop).join());
      } catch {
        return; // no header
      }
      const address = new Proxies(["0.0.0.0/0", "::/0"], header).addressOf("10.0.0.1", headers);
      assert(/^[0-9a-f.:]+$/.test(address), address);
    }),
  );
});

Deno.test("N3: there are so many places, in all, in a room, from an address and for a DID; who leaves makes one free", async () => {
  const cases: [limit: keyof Limits, first: string, second: string, who: string, status: number][] =
    [
      ["connections", "notes", "other", BOB, 503],
      ["connectionsPerRoom", "notes", "notes", BOB, 503],
      ["connectionsPerAddress", "notes", "other", BOB, 429],
      ["connectionsPerDid", "notes", "other", ALICE, 429],
    ];
  for (const [limit, first, second, who, status] of cases) {
    await using it = await listen({ limits: { [limit]: 1 } });
    const peer = await join(it, first);
    const protocol = { "sec-websocket-protocol": await it.ticket(second, who) };
    const refused = await handshake(it.port, `/sync/${second}`, protocol);
    const { error } = JSON.parse(refused.body);
    assertEquals([refused.status, error], [status, "TooManyConnections"], limit);
    assertEquals(refused.headers.get("retry-after"), "10");
    peer.leave();
    await until(async () =>
      await it.knock(`/sync/${second}`, await it.ticket(second, who)) === "101 authorization"
    );
  }
});

Deno.test("N3: a full house costs nobody a ticket", async () => {
  await using it = await listen({ limits: { connectionsPerRoom: 1 } });
  const peer = await join(it, "notes");
  const ticket = await it.ticket("notes", BOB);
  assertEquals(await it.knock("/sync/notes", ticket), "503 TooManyConnections");
  peer.leave();
  await until(async () => await it.knock("/sync/notes", ticket) === "101 authorization");
});

Deno.test("N4: one DID has so many handshakes a minute", async () => {
  await using it = await listen({ limits: { callsPerDid: 2 } });
  const knock = async (did: string) => await it.knock("/sync/notes", await it.ticket("notes", did));
  for (let n = 0; n < 2; n++) assertEquals(await knock(ALICE), "101 authorization");
  assertEquals(await knock(ALICE), "429 RateLimitExceeded");
  assertEquals(await knock(BOB), "101 authorization");
});

Deno.test("N5: a message that is too large closes its connection with 1009, and nobody else's", async () => {
  await using it = await listen({
    limits: { messageBytes: 10_000, presenceBytes: 1_000, probeBytes: 100 },
  });
  const bob = await join(it, "notes", BOB);
  for (const [type, bytes] of [[0, 10_001], [1, 1_001], [102, 101]] as const) {
    const alice = await join(it, "notes");
    const large = new Uint8Array(bytes);
    large[0] = type;
    alice.sendRaw(large);
    const { code, reason } = await closed(it, alice);
    assertEquals(code, 1009, reason);
  }
  bob.text.insert(0, "x".repeat(9_000));
  bob.probe(1);
  await bob.hears("ack 1");
  bob.leave();
});

Deno.test("N6: who says too much in too short a time is slowed down, and nothing is lost", async () => {
  if (Deno.version.deno.startsWith("2.5.")) return; // it has Deno's sockets alone
  await using it = await listen();
  const alice = await join(it, "notes");
  for (let n = 0; n < 15_000; n++) alice.text.insert(0, "x"); // 10,000 are the most in advance
  alice.probe(1);
  await until(() => (it.clock.advance(50), alice.heard.includes("ack 1")));
  assertEquals(alice.closed, null);
  const bob = await join(it, "notes", BOB);
  assertEquals(bob.text.length, 15_000);
  for (const peer of [alice, bob]) peer.leave();
});

Deno.test("N6: who cannot be slowed down is closed with 4429; who said it offline is not", async () => {
  await using it = await listen({ limits: { messagesPerSecond: 10 } }, true);
  const alice = await join(it, "notes");
  for (let n = 0; n < 40; n++) alice.text.insert(0, "x");
  alice.probe(1);
  await alice.hears("ack 1");
  for (let n = 0; n < 40; n++) alice.text.insert(0, "y");
  assertEquals((await closed(it, alice)).code, 4429);
});

Deno.test("N6: whatever comes in any order, no second lets through more than its rate and the burst", () => {
  const frame = fc.record({
    bytes: fc.integer({ min: 1, max: 5_000 }),
    after: fc.integer({ min: 0, max: 400 }),
  });
  const limits = { ...DEFAULT_LIMITS, messagesPerSecond: 10, bytesPerSecond: 2_000 };
  fc.assert(fc.property(fc.array(frame, { maxLength: 300 }), (frames) => {
    const inflow = new Inflow(limits);
    let now = 0;
    let [messages, bytes] = [0, 0];
    for (const { bytes: length, after } of frames) {
      now += after;
      if (inflow.take(1, length, now) !== null) return;
      messages++;
      bytes += length;
      assert(messages <= 10 * (now / 1_000 + 5), `${messages} messages in ${now} ms`);
      assert(bytes <= 2_000 * (now / 1_000 + 16), `${bytes} bytes in ${now} ms`);
    }
  }));
});

Deno.test("N7: who says nothing is closed with 4408; who speaks may be silent then", async () => {
  await using it = await listen({ limits: { joinDeadline: 10_000 } });
  const alice = await join(it, "notes");
  const [, ticket] = (await it.ticket("notes", BOB)).split(", ");
  const url = `ws://127.0.0.1:${it.port}/sync/notes`;
  const bob = new WebSocket(url, ["authorization", ticket!]);
  await new Promise((resolve) => bob.onopen = resolve);
  const closed = new Promise<number>((resolve) => bob.onclose = ({ code }) => resolve(code));
  it.clock.advance(15_000);
  assertEquals(await closed, 4408);
  it.clock.advance(60_000);
  alice.probe(1);
  await alice.hears("ack 1");
  alice.leave();
});

Deno.test("N8: a document that is full takes no more, in words, and is read on; who insists is closed with 1009", async () => {
  const { store, clock, rooms } = world({}, { documentBytes: 1_000 });
  const [alice, bob] = [new TestPeer("did:a"), new TestPeer("did:b")];
  for (const peer of [alice, bob]) peer.join(rooms, "room");
  await settle();
  alice.text.insert(0, "x".repeat(1_000));
  await settle();
  const { length } = store.appended;
  alice.text.insert(0, "one too many");
  alice.probe(1);
  await settle();
  assertEquals([store.appended.length, bob.text.length], [length, 1_000]);
  assertEquals(alice.heard.filter((what) => /denied|ack/.test(what)), ["denied"]);
  bob.probe(2);
  await settle();
  assert(bob.heard.includes("ack 2"));
  clock.advance(10_001);
  alice.text.insert(0, "again");
  assertEquals(alice.closed?.code, 1009);
});

Deno.test("N9: the room that nobody has been in for longest goes; if somebody is in all of them, there is no place", async () => {
  const { rooms, clock } = world({}, { rooms: 2 });
  const come = async (room: string) => {
    const peer = new TestPeer("did:a").join(rooms, room);
    await settle();
    return peer;
  };
  const first = await come("first");
  (await come("second")).leave();
  first.leave();
  clock.advance(1_000);
  await come("first");
  await come("third");
  assertEquals(rooms.size, 2, "the second has gone, the first was used since");
  let refusal: { name?: string; status?: number; retryAfter?: number } = {};
  try {
    rooms.reserve("fourth", new Place());
  } catch (error) {
    refusal = error as typeof refusal;
  }
  assertEquals([refusal.name, refusal.status, refusal.retryAfter], ["TooBusy", 503, 10]);
  rooms.reserve("first", new Place());
});

Deno.test("N9: a socket to a room for which there is no place is refused before the upgrade", async () => {
  await using it = await listen({ limits: { rooms: 1 } });
  const alice = await join(it, "notes");
  assertEquals(await it.knock("/sync/other", await it.ticket("other")), "503 TooBusy");
  assertEquals(await it.knock("/sync/notes", await it.ticket("notes")), "101 authorization");
  assertEquals((await it.callAs(GET_TICKET, { room: "other", did: BOB })).status, 200);
  alice.leave();
});

Deno.test("N12: when memory is short no further room is opened, and those that are open go on", () => {
  const { rooms } = world({}, { memoryBytes: 1 });
  assertThrows(() => rooms.reserve("room", new Place()), Refusal, "Too many rooms");
  new TestPeer("did:a").join(rooms, "room");
  rooms.reserve("room", new Place());
});

Deno.test("N13: of too many requests at once the last is told to come back, and who watches is answered", async () => {
  await using it = await startService({ limits: { requests: 2 } });
  await it.service.ready;
  const release = it.holdCommits();
  const ask = () => it.callAs(GET_TICKET, { room: "x", did: ALICE });
  const waiting = [ask(), ask()];
  const refused = await ask();
  assertEquals([refused.status, refused.headers.get("retry-after")], [503, "5"]);
  assertEquals((await refused.json()).error, "TooBusy");
  assertEquals((await it.call("/livez")).status, 200);
  release();
  assertEquals((await Promise.all(waiting)).map(({ status }) => status), [200, 200]);
  assertEquals((await ask()).status, 200);
});
