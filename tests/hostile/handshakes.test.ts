/** Sockets that are about to open: many at once, and those that never do. */
import { assertEquals } from "@std/assert";
import { WebSocket as WsSocket } from "ws";
import { getTicket } from "../outside/clients.ts";
import { handshake, RawLine } from "./raw_line.ts";
import { dose, MALLORY, OWNER, SQUARE, Target, testLong, within } from "./target.ts";
import { Opcode, wsFrame } from "./wire.ts";

/** Opens so many sockets at the same moment. Returns the lines and how many were opened. */
async function openTogether(target: Target, rooms: string[], dids: string[]) {
  const lines = await Promise.all(rooms.map(() => RawLine.connect(target.url)));
  const heads = await Promise.all(lines.map(async (line, n) => {
    await line.write(handshake(target.door(dids[n]!, rooms[n]!)));
    return await line.readHead();
  }));
  const statuses = heads.map((head) => Number(head.split(" ")[1]));
  return { lines, opened: statuses.filter((status) => status === 101).length, statuses };
}

Deno.test("HP9: of many handshakes at the same moment, as many open as each limit says", async () => {
  const [perDid, perRoom, perAddress] = [5, 10, 15];
  await using target = await Target.start({
    MAX_CONNECTIONS_PER_DID: String(perDid),
    MAX_CONNECTIONS_PER_ROOM: String(perRoom),
    MAX_CONNECTIONS_PER_ADDRESS: String(perAddress + 2), // the calm room has two
  });
  const count = 150;
  const opened: number[] = [];
  await target.withstands(`HP9 (A9), 3 x ${count} handshakes`, async () => {
    const of = (each: (n: number) => string) => Array.from({ length: count }, (_, n) => each(n));
    const accounts = of((n) => `did:web:m${n}.example`);
    const waves = [
      { rooms: of(() => SQUARE), dids: of(() => MALLORY) },
      { rooms: of(() => SQUARE), dids: accounts },
      { rooms: of((n) => `of account ${n}`), dids: accounts },
    ];
    for (const { rooms, dids } of waves) {
      const { lines, opened: count } = await openTogether(target, rooms, dids);
      opened.push(count);
      await Promise.all(lines.map(async (line) => {
        await line.write(wsFrame(Uint8Array.of(0x03, 0xe8), { opcode: Opcode.CLOSE }));
        await within(2_000, line.listen(), null);
        line.close();
      }));
    }
    return `${opened} open, of a DID, in a room, from an address`;
  }, { isWork: true });
  assertEquals(opened, [perDid, perRoom, perAddress]);
});

Deno.test("HP10: a client that disconnects before the 101, or is refused, holds no place", async () => {
  const most = 10;
  await using target = await Target.start({
    MAX_CONNECTIONS_PER_DID: String(most),
    MAX_CONNECTIONS_PER_ROOM: String(most),
  });
  const rounds = dose(30, 200);
  let opened = 0;
  await target.withstands(`HP10 (A10), ${rounds} disconnects at each phase`, async () => {
    for (let n = 0; n < rounds; n++) {
      const request = handshake(target.door());
      // At once after the request; in the middle of it; and after a random part of the answer's time.
      for (
        const [bytes, pause] of [[request.length, 0], [request.length / 2, 0], [
          request.length,
          n % 8,
        ]]
      ) {
        const line = await RawLine.connect(target.url);
        await line.write(request.subarray(0, bytes));
        if (pause! > 0) await new Promise((resolve) => setTimeout(resolve, pause));
        line.close();
      }
    }
    // As many as there are places come in, once what was left behind has been noticed.
    for (let attempt = 0; attempt < 20 && opened < most; attempt++) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      const all = Array.from({ length: most }, () => SQUARE);
      const { lines, opened: count } = await openTogether(target, all, all.map(() => MALLORY));
      opened = count;
      lines.forEach((line) => line.close());
    }
    return `${opened} of ${most} places are left`;
  }, { isWork: true });
  assertEquals(opened, most);
});

Deno.test("HP23: list headers are read as RFC 9110 says, by npm's ws and by hand", async () => {
  await using target = await Target.start();
  const { url } = target;
  const headers: Record<string, string | null>[] = [
    { "Sec-WebSocket-Protocol": "authorization,[ticket]" },
    { "Sec-WebSocket-Protocol": "authorization ,\t [ticket]" },
    { "Sec-WebSocket-Protocol": ", authorization,, [ticket] ," },
    { "Sec-WebSocket-Protocol": "authorization\r\nSec-WebSocket-Protocol: [ticket]" },
    { "Upgrade": "websocket, h2c" },
    { "Upgrade": "WebSocket" },
    { "Connection": "keep-alive,Upgrade" },
    { "Connection": "keep-alive\r\nConnection: upgrade" },
  ];
  for (const changes of headers) {
    const line = await RawLine.connect(url);
    const ticket = await getTicket(url, OWNER, SQUARE);
    await line.write(handshake({ ...target.door(OWNER), token: ticket }, changes));
    const head = await within(5_000, line.readHead(), "no answer");
    const said = JSON.stringify(changes);
    assertEquals(head.split("\r\n")[0], "HTTP/1.1 101 Switching Protocols", said);
    assertEquals(/^sec-websocket-protocol: *(.*)$/im.exec(head)?.[1], "authorization", said);
    line.close();
  }
  const ticket = await getTicket(url, OWNER, SQUARE);
  const path = `${url.replace("http", "ws")}/sync/${SQUARE}`;
  const socket = new WsSocket(path, ["authorization", ticket]);
  const how = await within(
    5_000,
    new Promise<string>((resolve) => {
      socket.on("open", () => resolve(`open with ${socket.protocol}`));
      socket.on("error", (error: Error) => resolve(error.message));
    }),
    "no answer",
  );
  assertEquals(how, "open with authorization");
  await new Promise<void>((resolve) => {
    socket.on("close", () => resolve());
    socket.close();
  });
});

testLong("HP24: handshakes that stop midway keep nobody out", async () => {
  await using target = await Target.start();
  const count = dose(500, 5_000);
  let status = 0;
  await target.withstands(`HP24, ${count} handshakes that stop midway`, async () => {
    const request = handshake(target.door());
    const lines: RawLine[] = [];
    for (let n = 0; n < count; n++) {
      const line = await RawLine.connect(target.url);
      lines.push(line);
      await line.write(request.subarray(0, n % request.length));
    }
    using line = await RawLine.connect(target.url);
    await line.write(request);
    status = Number((await line.readHead()).split(" ")[1]);
    lines.forEach((each) => each.close());
    return `the next handshake is answered with ${status}`;
  }, { isWork: true });
  assertEquals(status, 101);
});
