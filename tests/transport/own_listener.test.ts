import { connect } from "node:net";
import { assertEquals } from "@std/assert";
import { listen } from "../http/listen.ts";
import { ALICE, BOB, DEV_TOKEN, GET_TICKET } from "../http/service.ts";
import { until } from "../until.ts";
import {
  BINARY,
  CLOSE,
  CONTINUATION,
  frame,
  handshakeOf,
  PING,
  PONG,
  RawClient,
  repeated,
} from "./raw_client.ts";

/** Deno 2.5 has no listener of ours: see `src/transport/listener.ts`. */
const ignore = Deno.version.deno.startsWith("2.5.");

function test(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, ignore, fn });
}

test("TR1: a message of endless fragments is closed with 1009 while it arrives", async () => {
  await using it = await listen({ limits: { messageBytes: 100_000 } });
  for (const bytes of [1_000, 99_000]) {
    using client = await RawClient.open(it.port, ALICE, "notes");
    const fragment = new Uint8Array(bytes);
    await client.write(frame(BINARY, fragment, false));
    const sending = (async () => {
      for (let n = 0; n < 300; n++) await client.write(frame(CONTINUATION, fragment, false));
    })();
    assertEquals(await client.closeCode(), 1009);
    it.clock.advance(10_000); // what nobody reads any more is cut off
    await sending;
  }
});

test("TR1: a message in too many fragments is closed, also with empty ones or pings in between", async () => {
  await using it = await listen({
    limits: { messageBytes: 100_000, messagesPerSecond: 1e9, bytesPerSecond: 1e9 },
  });
  const [one, none] = [new Uint8Array(1), new Uint8Array(0)];
  const ping = frame(PING, new Uint8Array(125));
  const cases: [fragments: Uint8Array, code: number][] = [
    [repeated(frame(CONTINUATION, one, false), 20_000), 1008],
    [repeated(frame(CONTINUATION, none, false), 20_000), 1008],
    [repeated(ping, 2_000), 1009],
  ];
  for (const [fragments, code] of cases) {
    using client = await RawClient.open(it.port, ALICE, "notes");
    await client.write(frame(BINARY, one, false));
    await client.write(fragments);
    assertEquals(await client.closeCode(), code);
  }
});

test("TR2: who floods with pings or pongs is closed with 4429, and a few are answered", async () => {
  await using it = await listen();
  for (const opcode of [PING, PONG]) {
    using client = await RawClient.open(it.port, ALICE, "notes");
    await client.write(frame(PING, new Uint8Array([1, 2, 3])));
    assertEquals([...(await client.readUntil(PONG))!], [1, 2, 3]);
    await client.write(repeated(frame(opcode), 5_000));
    assertEquals(await client.closeCode(), 4429);
  }
});

test("TR3: of one DID a few large messages arrive at once, and none may take for ever", async () => {
  const MiB = 1024 * 1024;
  await using it = await listen({ limits: { largeMessagesPerDid: 1, pingTimeout: 60_000 } });
  const half = new Uint8Array(2 * MiB);
  half[0] = 102; // a probe, which is too large: that it was read shows
  using first = await RawClient.open(it.port, ALICE, "notes");
  using second = await RawClient.open(it.port, ALICE, "notes");
  using other = await RawClient.open(it.port, BOB, "notes");
  for (const client of [first, second]) await client.write(frame(BINARY, new Uint8Array([102])));
  await first.write(frame(BINARY, half, false));
  await first.write(frame(PING, new Uint8Array([1])));
  await first.readUntil(PONG); // what was written before has been read
  const waiting = second.write(frame(BINARY, half, false));
  await other.write(frame(BINARY, half));
  assertEquals(await other.closeCode(), 1009);
  it.clock.advance(59_000);
  await first.write(frame(PING, new Uint8Array([2])));
  assertEquals([...(await first.readUntil(PONG))!], [2]);
  it.clock.advance(10_000);
  assertEquals(await first.closeCode(), 1009);
  first.tcp.close();
  await waiting;
  await second.write(frame(PING, new Uint8Array([3])));
  assertEquals([...(await second.readUntil(PONG))!], [3], "it is its turn");
  // A message that breaks a limit gives up its turn, also where its sender never answers why.
  await second.write(frame(CONTINUATION, new Uint8Array(7 * MiB)));
  assertEquals(await second.closeCode(), 1009);
  using third = await RawClient.open(it.port, ALICE, "notes");
  await third.write(frame(BINARY, half));
  assertEquals(await third.closeCode(), 1009);
});

test("TR4: a client reads why it is closed while what it sends is under way, and so does the log", async () => {
  await using it = await listen();
  using client = await RawClient.open(it.port, ALICE, "notes");
  await client.write(frame(BINARY, new Uint8Array([99])));
  const writing = client.write(repeated(frame(BINARY, new Uint8Array(60_000)), 100));
  assertEquals(await client.closeCode(), 4400);
  await client.write(frame(CLOSE, new Uint8Array([3, 232])));
  await until(async () => (it.clock.advance(1_000), await connections(it) === 0));
  const metrics = await (await it.service.metrics()).text();
  assertEquals(/connections_closed_total\{code="(\d+)"\}/.exec(metrics)![1], "4400");
  await writing;
});

test("TR4: who never answers a close frame is cut off", async () => {
  await using it = await listen();
  using client = await RawClient.open(it.port, ALICE, "notes");
  await client.write(frame(BINARY, new Uint8Array([99])));
  assertEquals(await client.closeCode(), 4400);
  it.clock.advance(9_000);
  assertEquals(await connections(it), 1);
  it.clock.advance(1_000);
  await until(async () => await connections(it) === 0);
});

test("TR6: a connection that is reset at any moment holds no place, and harms nobody", async () => {
  await using it = await listen({ limits: { connectionsPerRoom: 2 } });
  using bob = await RawClient.open(it.port, BOB, "notes");
  const handshake = handshakeOf(ALICE, "notes");
  const phases: (Uint8Array | string)[][] = [
    [],
    [handshake.slice(0, 40)],
    [handshake],
    [handshake, frame(BINARY, new Uint8Array([0, 0, 1, 0]))],
    [handshake, frame(BINARY, new Uint8Array(1_000)).subarray(0, 500)],
    [handshake, frame(BINARY, new Uint8Array(10), false)],
    [handshake, frame(CLOSE, new Uint8Array([3, 232]))],
    [handshake, frame(BINARY, new Uint8Array([99])), frame(BINARY, new Uint8Array(60_000))],
    [`POST ${GET_TICKET} HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{`],
    ["GET /livez HTTP/1.1\r\nhost: x\r\n\r\n".repeat(4)],
  ];
  for (const phase of phases) {
    for (const turns of [0, 1, 20]) {
      const socket = connect({ port: it.port, host: "127.0.0.1" });
      socket.on("error", () => {});
      for (const part of phase) socket.write(part);
      for (let n = 0; n < turns; n++) await new Promise((resolve) => setTimeout(resolve, 0));
      const closed = new Promise((resolve) => socket.once("close", resolve));
      socket.resetAndDestroy();
      await closed;
    }
  }
  await until(async () => (it.clock.advance(1_000), await connections(it) === 1));
  await bob.write(frame(BINARY, new Uint8Array([102, 7])));
  while ((await bob.readUntil(BINARY))![0] !== 102);
  assertEquals(await it.knock("/sync/notes", await it.ticket("notes")), "101 authorization");
});

test("TR7: what is no WebSocket is answered as HTTP demands", async () => {
  await using it = await listen();
  const ask = async (text: string) => {
    using client = await RawClient.connect(it.port);
    await client.write(text);
    return [...(await client.readAll()).matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, code]) => code);
  };
  const close = "connection: close\r\n\r\n";
  const upgrade = "connection: upgrade, close\r\nupgrade:";
  const key = "sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
  const get = "GET /livez HTTP/1.1\r\nhost: x\r\n";
  const cases: [request: string, statuses: string[]][] = [
    [`${get}${upgrade} h2c\r\n\r\n`, ["200"]],
    [`${get}${upgrade} websocket\r\n\r\n`, ["200"]],
    [`GET /sync/x HTTP/1.1\r\nhost: x\r\n${key}${upgrade} h2c\r\n\r\n`, ["400"]],
    [
      `GET /sync/x HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n${key}${upgrade} websocket\r\n\r\nabc`,
      ["400"],
    ],
    [`POST /sync/x HTTP/1.1\r\nhost: x\r\n${key}${upgrade} websocket\r\n\r\n`, ["405"]],
    [`CONNECT x:80 HTTP/1.1\r\nhost: x\r\n${close}`, ["405"]],
    [`GET /livez HTTP/1.0\r\n${close}`, ["200"]],
    [`${get}\r\n${get}\r\n${get}${close}`, ["200", "200", "200"]],
    [`HEAD /livez HTTP/1.1\r\nhost: x\r\n\r\n${get}${close}`, ["200", "200"]],
    [`${get}expect: 100-continue\r\n${close}`, ["100", "200"]],
    [`${get}expect: the moon\r\n${close}`, ["417"]],
    [`${get}content-length: 3\r\ntransfer-encoding: chunked\r\n${close}0\r\n\r\n`, ["400"]],
    [`${get}content-length: 3\r\ncontent-length: 4\r\n${close}abcd`, ["400"]],
    [`${get}x: ${"y".repeat(20_000)}\r\n${close}`, ["431"]],
    [`${get} x: y\r\n${close}`, ["400"]],
    ["\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03", ["400"]],
  ];
  for (const [request, statuses] of cases) assertEquals(await ask(request), statuses, request);
});

test("TR7: a body that does not come is a 408, and its connection is over soon", async () => {
  await using it = await listen();
  using client = await RawClient.connect(it.port);
  const head = [
    `POST ${GET_TICKET} HTTP/1.1`,
    ...["host: x", `authorization: Bearer ${DEV_TOKEN}`, "content-length: 100", "", "{"],
  ];
  await client.write(head.join("\r\n"));
  let answer = "";
  client.readHead().then((head) => answer = head);
  await until(() => (it.clock.advance(100), answer !== ""));
  assertEquals(answer.split("\r\n")[0], "HTTP/1.1 408 Request Timeout");
  await client.readAll();
  assertEquals(await it.knock("/sync/notes", await it.ticket("notes")), "101 authorization");
});

const connections = async ({ service }: Awaited<ReturnType<typeof listen>>) =>
  Number(/^tessera_connections (\d+)$/m.exec(await (await service.metrics()).text())![1]);
