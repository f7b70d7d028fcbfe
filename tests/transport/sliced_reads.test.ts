import { assertEquals, assertStringIncludes } from "@std/assert";
import { listen } from "../http/listen.ts";
import { ALICE, DEV_TOKEN, GET_TICKET } from "../http/service.ts";
import { frame, handshakeOf, PING, PONG, RawClient, repeated } from "./raw_client.ts";

/** Deno 2.5 has no listener of ours: see `src/transport/listener.ts`. */
const ignore = Deno.version.deno.startsWith("2.5.");

function test(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, ignore, fn });
}

test("TR20: frames that come in one packet with the handshake are all read", async () => {
  await using it = await listen();
  for (let padding = 0; padding < 1_100; padding += 99) {
    using client = await RawClient.connect(it.port);
    const head = new TextEncoder().encode(
      handshakeOf(ALICE, "notes", [`x-padding: ${"x".repeat(padding)}`]),
    );
    const frames = repeated(frame(PING, new Uint8Array(125)), 30);
    const last = frame(PING, new Uint8Array([1, 2, 3]));
    await client.write(new Uint8Array([...head, ...frames, ...last]));
    assertStringIncludes(await client.readHead(), "101");
    let pong: Uint8Array | null;
    do pong = await client.readUntil(PONG); while (pong?.length === 125);
    assertEquals(pong, new Uint8Array([1, 2, 3]));
  }
});

test("TR21: a request arrives whole, however long its headers and its body are", async () => {
  await using it = await listen();
  for (const [padding, spaces] of [[10, 0], [12_000, 10], [900, 16_000], [1_024, 1_024]]) {
    const response = await fetch(`http://127.0.0.1:${it.port}${GET_TICKET}`, {
      method: "POST",
      headers: {
        "authorization": `Bearer ${DEV_TOKEN}`,
        "x-padding": "x".repeat(padding!),
      },
      body: `{"did":"${ALICE}",${" ".repeat(spaces!)}"room":"notes"}`,
    });
    const { room, message } = await response.json();
    assertEquals(room, "notes", `${padding}, ${spaces}: ${message}`);
  }
});
