import { assertEquals } from "@std/assert";
import WebSocketPolyfill, { WebSocket as NodeWebSocket } from "ws";
import { WebsocketProvider } from "y-websocket";
import * as Y from "yjs";
import type { Limits } from "../../src/limits/limits.ts";
import { listen } from "../http/listen.ts";
import { ALICE, BOB, GET_TICKET } from "../http/service.ts";
import { until } from "../until.ts";
import { handshakeOf, RawClient } from "./raw_client.ts";

/** Each test runs on our own listener and on `Deno.serve`. */
const LISTENERS = [false, true];

Deno.test("U13: lists in headers are read as RFC 9110 says", async () => {
  for (const onDeploy of LISTENERS) {
    await using it = await listen({}, onDeploy);
    const ticket = async () =>
      (await (await it.callAs(GET_TICKET, { room: "notes", did: ALICE })).json()).ticket;
    const [name, upgrade] = ["Sec-WebSocket-Protocol", "Upgrade: websocket"];
    const connection = "Connection: Upgrade";
    const cases: ((ticket: string) => string[])[] = [
      (ticket) => [`${name}: authorization,${ticket}`, upgrade, connection],
      (ticket) => [`${name}: authorization \t,\t ${ticket}`, upgrade, connection],
      (ticket) => [`${name}: ,authorization,, ${ticket},`, upgrade, connection],
      (ticket) => [`${name}: authorization`, `${name}: ${ticket}`, upgrade, connection],
      (ticket) => [`${name.toLowerCase()}:authorization, ${ticket}`, upgrade, connection],
      (ticket) => [`${name}: authorization, ${ticket}`, "Upgrade: websocket, h2c", connection],
      (ticket) => [`${name}: authorization, ${ticket}`, "UPGRADE: h2c,WebSocket", connection],
      (ticket) => [`${name}: authorization, ${ticket}`, upgrade, "connection: keep-alive,upgrade"],
      (ticket) => [
        `${name}: authorization, ${ticket}`,
        upgrade,
        "Connection: keep-alive",
        "Connection: UPGRADE",
      ],
    ];
    for (const headers of cases) {
      const lines = headers(await ticket());
      using client = await RawClient.connect(it.port);
      await client.write([
        "GET /sync/notes HTTP/1.1",
        ...["host: localhost", "sec-websocket-version: 13"],
        ...["sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==", ...lines, "", ""],
      ].join("\r\n"));
      const head = await client.readHead();
      assertEquals(head.split("\r\n")[0], "HTTP/1.1 101 Switching Protocols", String(lines));
      assertEquals(/sec-websocket-protocol: *(.*)/i.exec(head)?.[1], "authorization");
      assertEquals(/sec-websocket-accept: *(.*)/i.exec(head)?.[1], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
  }
});

Deno.test("U13: npm's ws opens a socket, and y-websocket with it", async () => {
  for (const onDeploy of LISTENERS) {
    await using it = await listen({}, onDeploy);
    const { ticket } = await (await it.callAs(GET_TICKET, { room: "notes", did: ALICE })).json();
    const socket = new NodeWebSocket(`ws://127.0.0.1:${it.port}/sync/notes`, [
      "authorization",
      ticket,
    ]);
    await new Promise((resolve, reject) => socket.on("open", resolve).on("error", reject));
    assertEquals(socket.protocol, "authorization");
    const closed = new Promise((resolve) => socket.on("close", resolve));
    socket.close(1000);
    assertEquals(await closed, 1000);

    const [, second] = (await it.ticket("notes")).split(", ");
    const provider = new WebsocketProvider(`ws://127.0.0.1:${it.port}/sync`, "notes", new Y.Doc(), {
      protocols: ["authorization", second!],
      // deno-lint-ignore no-explicit-any
      WebSocketPolyfill: WebSocketPolyfill as any,
      disableBc: true,
    });
    await new Promise((resolve) => provider.once("sync", resolve));
    const ended = new Promise((resolve) => provider.ws!.addEventListener("close", resolve));
    provider.destroy();
    await ended;
  }
});

Deno.test("U13: a handshake that is wrong costs no ticket", async () => {
  for (const onDeploy of LISTENERS) {
    await using it = await listen({}, onDeploy);
    const ticket = await it.ticket("notes");
    const wrong: Record<string, string | null>[] = [
      { "sec-websocket-key": "short" },
      { "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ==" },
      { "sec-websocket-version": "13, 8" },
      { upgrade: "websockets" },
      { connection: "keep-alive" },
    ];
    for (const headers of wrong) {
      assertEquals(await it.knock("/sync/notes", ticket, headers), "400 UpgradeRequired");
    }
    assertEquals(await it.knock("/sync/notes", `${ticket}, more`), "400 InvalidRequest");
    assertEquals(await it.knock("/sync/notes", ticket), "101 authorization");
  }
});

Deno.test("N14: of 60 handshakes at once as many succeed as there are places", async () => {
  const cases: [limit: keyof Limits, refusal: number][] = [
    ["connections", 503],
    ["connectionsPerRoom", 503],
    ["connectionsPerAddress", 429],
    ["connectionsPerDid", 429],
    ["rooms", 503],
  ];
  for (const onDeploy of LISTENERS) {
    for (const [limit, refusal] of cases) {
      await using it = await listen({ limits: { [limit]: 5 } }, onDeploy);
      const knocks = Array.from({ length: 60 }, async (_, n) => {
        const client = await RawClient.connect(it.port);
        const room = limit === "rooms" ? `room-${n}` : "notes";
        await client.write(handshakeOf(limit === "connectionsPerDid" ? ALICE : didOf(n), room));
        return { client, status: Number((await client.readHead()).split(" ")[1]) };
      });
      const all = await Promise.all(knocks);
      const statuses = all.map(({ status }) => status).sort();
      assertEquals(statuses, [...Array(5).fill(101), ...Array(55).fill(refusal)], limit);
      for (const { client } of all) client[Symbol.dispose]();
    }
  }
});

const didOf = (n: number) => `did:web:n${n}.example`;

Deno.test("N15: clients that go before they are answered hold no place", async () => {
  for (const onDeploy of LISTENERS) {
    const asked = Promise.withResolvers<void>();
    let answer = () => {};
    const policy = {
      roleOf: async () => {
        asked.resolve();
        await new Promise<void>((resolve) => answer = resolve);
        return "writer" as const;
      },
    };
    await using it = await listen({ policy, limits: { connectionsPerRoom: 1 } }, onDeploy);
    using client = await RawClient.connect(it.port);
    await client.write(handshakeOf(ALICE, "notes"));
    await asked.promise;
    using second = await RawClient.connect(it.port);
    await second.write(handshakeOf(BOB, "notes"));
    assertEquals((await second.readHead()).split(" ")[1], "503", "the place is reserved");
    client.tcp.close();
    answer();
    policy.roleOf = () => Promise.resolve("writer");
    await until(async () => {
      it.clock.advance(1_000);
      using third = await RawClient.connect(it.port);
      await third.write(handshakeOf(BOB, "notes"));
      return (await third.readHead()).startsWith("HTTP/1.1 101");
    });
  }
});

Deno.test("N15: a handshake that takes too long holds no place", async () => {
  const stuck = Promise.withResolvers<void>();
  const asked = Promise.withResolvers<void>();
  const policy = {
    roleOf: () => (asked.resolve(), stuck.promise.then(() => "writer" as const)),
  };
  await using it = await listen({ policy, limits: { connectionsPerRoom: 1 } });
  using client = await RawClient.connect(it.port);
  await client.write(handshakeOf(ALICE, "notes"));
  const statuses: string[] = [];
  await asked.promise;
  it.clock.advance(10_000);
  statuses.push((await client.readHead()).split(" ")[1]!);
  policy.roleOf = () => Promise.resolve("writer");
  using second = await RawClient.connect(it.port);
  await second.write(handshakeOf(BOB, "notes"));
  statuses.push((await second.readHead()).split(" ")[1]!);
  assertEquals(statuses, ["503", "101"]);
  stuck.resolve();
});
