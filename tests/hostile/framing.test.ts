/** Frames that break RFC 6455. */
import { assert, assertEquals } from "@std/assert";
import { WebSocket as WsSocket } from "ws";
import { DEV_TOKEN } from "../outside/clients.ts";
import { handshake, RawLine } from "./raw_line.ts";
import { dose, MALLORY, Target, within } from "./target.ts";
import { concat, KiB, Opcode, PROBE, repeated, wsFrame } from "./wire.ts";

/** Sets bits in the first byte of a frame. */
function withBits(frame: Uint8Array, bits: number): Uint8Array {
  return Uint8Array.of(frame[0]! | bits, ...frame.subarray(1));
}

const text = (bytes: number[]) => wsFrame(Uint8Array.from(bytes), { opcode: Opcode.TEXT });
const close = (...bytes: number[]) => wsFrame(Uint8Array.from(bytes), { opcode: Opcode.CLOSE });

/** Frames, and the codes with which a server may close. 1006: it hangs up. */
const BROKEN: Record<string, [frame: Uint8Array, codes: number[]]> = {
  "no mask": [wsFrame(PROBE, { isMasked: false }), [1002, 1006]],
  "RSV1, as if compressed": [withBits(wsFrame(PROBE), 0x40), [1002, 1006]],
  "RSV2": [withBits(wsFrame(PROBE), 0x20), [1002, 1006]],
  "RSV3": [withBits(wsFrame(PROBE), 0x10), [1002, 1006]],
  "opcode 3": [wsFrame(PROBE, { opcode: 3 }), [1002, 1006]],
  "opcode 15": [wsFrame(PROBE, { opcode: 15 }), [1002, 1006]],
  "a continuation of nothing": [wsFrame(PROBE, { opcode: Opcode.CONTINUATION }), [1002, 1006]],
  "a message within a message": [
    concat([wsFrame(PROBE, { isFinal: false }), wsFrame(PROBE)]),
    [1002, 1006],
  ],
  "a ping of 126 bytes": [wsFrame(new Uint8Array(126), { opcode: Opcode.PING }), [1002, 1006]],
  "a ping in fragments": [
    wsFrame(PROBE, { opcode: Opcode.PING, isFinal: false }),
    [1002, 1006],
  ],
  "a length of 2^62": [wsFrame(PROBE, { claims: 2n ** 62n }), [1009, 1002, 1006]],
  "a length of 2^64-1": [wsFrame(PROBE, { claims: 2n ** 64n - 1n }), [1009, 1002, 1006]],
  "a length of 8 MiB + 1": [wsFrame(PROBE, { claims: BigInt(8 * KiB * KiB + 1) }), [1009]],
  "text": [text([0x61]), [4400]],
  "text that is no UTF-8": [text([0xff, 0xfe]), [1007, 4400, 1006]],
  "a close of one byte": [close(3), [1002, 1006]],
  "a close with code 1005": [close(0x03, 0xed), [1002, 1005, 1006]],
  "a close with code 999": [close(0x03, 0xe7), [1002, 999, 1006]],
  "a close, then data": [concat([close(0x03, 0xe8), wsFrame(PROBE), wsFrame(PROBE)]), [1000]],
};

Deno.test("HP27: frames that break RFC 6455 close their connection, and no other", async () => {
  await using target = await Target.start();
  const wrong: string[] = [];
  await target.withstands("HP27, each of them", async () => {
    for (const [name, [frame, codes]] of Object.entries(BROKEN)) {
      using line = await target.open();
      const ended = line.listen();
      await line.write(frame);
      const { code } = await within(3_000, ended, { code: 0 });
      if (!codes.includes(code)) wrong.push(`${name}: ${code}`);
    }
    return `wrong: ${wrong}`;
  });
  assertEquals(wrong, []);
});

Deno.test("HP28: no compression is agreed on: a small frame stays small", async () => {
  await using target = await Target.start();
  for (const offered of ["permessage-deflate", "permessage-deflate; client_max_window_bits"]) {
    using line = await RawLine.connect(target.url);
    await line.write(handshake(target.door(), { "Sec-WebSocket-Extensions": offered }));
    const head = await line.readHead();
    assert(head.startsWith("HTTP/1.1 101 "), head);
    assert(!/sec-websocket-extensions/i.test(head), head);
  }
});

Deno.test("HP25: a client that goes on sending after its fault reads why it was closed", async () => {
  await using target = await Target.start();
  const codes: number[] = [];
  await target.withstands("HP25, a bad frame, then 20 MB more", async () => {
    using line = await target.open();
    const ended = line.listen();
    await line.send(Uint8Array.of(99));
    await line.flood(repeated(wsFrame(PROBE), 10_000), 250, dose(1_000, 3_000));
    codes.push((await within(3_000, ended, { code: 0 })).code);
    const socket = new WsSocket(`${target.socketUrl}/sync/as/${MALLORY}/square`, [
      ...["authorization", DEV_TOKEN],
    ]);
    const closed = new Promise<number>((resolve) => socket.on("close", resolve));
    await new Promise((resolve, reject) => socket.on("open", resolve).on("error", reject));
    socket.send(Uint8Array.of(99));
    for (let n = 0; n < dose(8_000, 100_000); n++) socket.send(PROBE);
    codes.push(await within(15_000, closed, 0));
    return `closed with ${codes}`;
  });
  assertEquals(codes, [4400, 4400]);
});
