import { assertEquals } from "@std/assert";
import { awarenessFrame } from "../sync/test_peer.ts";
import * as encoding from "lib0/encoding";
import { ALICE, BOB, connectPeer, DEV_TOKEN, getTicket } from "./clients.ts";
import { ServerProcess } from "./server_process.ts";

/** A masked WebSocket frame: https://www.rfc-editor.org/rfc/rfc6455#section-5.2. The mask is zero. */
function masked(payload: Uint8Array): Uint8Array {
  return new Uint8Array([0x82, 0x80 | payload.length, 0, 0, 0, 0, ...payload]);
}

Deno.test("N11: a client that vanishes without a word is gone from the room, and from memory", async () => {
  await using server = await ServerProcess.start({
    KV_PATH: ":memory:",
    UNSAFE_DEV_TOKEN: DEV_TOKEN,
    METRICS_PORT: "0",
    PING_TIMEOUT: "4s",
  });
  const [, port] = /metrics are at port (\d+)/.exec(server.log.join("\n"))!;
  const bob = await connectPeer(server, BOB, "notes");
  using line = await Deno.connect({
    hostname: "127.0.0.1",
    port: Number(new URL(server.url).port),
  });
  const ticket = await getTicket(server.url, ALICE, "notes");
  const handshake = [
    "GET /sync/notes HTTP/1.1",
    ...["host: localhost", "connection: Upgrade", "upgrade: websocket"],
    ...["sec-websocket-version: 13", "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ=="],
    ...[`sec-websocket-protocol: authorization, ${ticket}`, "", ""],
  ];
  await line.write(new TextEncoder().encode(handshake.join("\r\n")));
  const entry = encoding.encode((encoder) => {
    for (const each of [1, 7, 1]) encoding.writeVarUint(encoder, each);
    encoding.writeVarString(encoder, '{"name":"alice"}');
  });
  await line.write(masked(awarenessFrame(entry)));

  // From here on it answers nothing, not even a ping, and its line is not closed.
  const changes: string[] = [];
  await new Promise<void>((resolve) =>
    bob.awareness.on("update", ({ added, removed }: Record<string, number[]>) => {
      changes.push(...added!.map(() => "came"), ...removed!.map(() => "went"));
      if (removed!.length > 0) resolve();
    })
  );
  assertEquals(changes, ["came", "went"]);
  const metrics = await (await fetch(`http://localhost:${port}/metrics`)).text();
  assertEquals(/^tessera_connections (\d+)$/m.exec(metrics)![1], "1");
  bob.leave();
  assertEquals(await server.stop(), 0);
});
