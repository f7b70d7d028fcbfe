import { assertEquals } from "@std/assert";
import { listen } from "../http/listen.ts";
import { ALICE } from "../http/service.ts";
import { BINARY, CONTINUATION, frame, PING, PONG, RawClient, repeated } from "./raw_client.ts";

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
