import { assert, assertEquals } from "@std/assert";
import * as Y from "yjs";
import { ALICE, connectPeer, DEV_TOKEN } from "../outside/clients.ts";
import { Writers } from "../outside/instances.ts";
import { ServerProcess } from "../outside/server_process.ts";
import type { TestPeer } from "../sync/test_peer.ts";
import { until } from "../until.ts";
import { findKvServer, KvServer } from "./kv_server.ts";
import { testReal as testWith } from "./real_test.ts";

const program = await findKvServer();
if (program === null) {
  console.error("SKIPPED: no denokv here. `cargo install denokv --locked` brings it.");
}

/** A test with a real KV server and so many service processes on it. */
function testReal(
  rule: string,
  count: number,
  body: (kv: KvServer, servers: ServerProcess[]) => Promise<void>,
): void {
  testWith(rule, program, async (program) => {
    await using kv = await KvServer.start(program);
    const env = { ...kv.env, UNSAFE_DEV_TOKEN: DEV_TOKEN };
    const servers = await Promise.all(
      Array.from({ length: count }, () => ServerProcess.start(env)),
    );
    try {
      await body(kv, servers);
    } finally {
      for (const server of servers) await server[Symbol.asyncDispose]();
    }
  });
}

testReal(
  "O11: three processes on a KV server serve one room; one is killed, and nothing is lost",
  3,
  async (_, servers) => {
    const writers = new Writers();
    const peers: TestPeer[] = [];
    for (const server of servers) {
      for (let n = 0; n < 2; n++) peers.push(await writers.join(server, "room"));
    }
    for (let round = 1; round <= 10; round++) {
      const writing = writers.write(10, round);
      if (round === 5) await servers[0]!.kill();
      await writing;
    }
    const living = peers.slice(2);
    await until(() => new Set(living.map((peer) => peer.text.toString())).size === 1);
    for (const peer of living) writers.check(peer.text.toString());
    const late = await connectPeer(servers[1]!, ALICE, "room");
    await late.hears("step2");
    writers.check(late.text.toString());
    writers.leave();
    late.leave();
  },
);

testReal(
  "O12: a KV server that stalls for five seconds delays, and loses and acknowledges nothing falsely",
  2,
  async (kv, servers) => {
    const writers = new Writers();
    const peers: TestPeer[] = [];
    for (const server of servers) peers.push(await writers.join(server, "room"));
    await writers.write(10, 1);
    kv.stall();
    const writing = writers.write(10, 2);
    await new Promise((resolve) => setTimeout(resolve, 5_000)); // the stall itself: it is what is tested
    assert(peers.every((peer) => !peer.heard.includes("ack 2")), "acknowledged by nobody");
    kv.goOn();
    await writing;
    assertEquals(peers.map((peer) => peer.closed), [null, null]);
    await until(() => peers.every((peer) => peer.text.length === 40));
    for (const peer of peers) writers.check(peer.text.toString());
    writers.leave();
  },
);

testReal(
  "O19: a KV server that is gone for longer than anybody waits is left alone, and all comes back by itself",
  1,
  async (kv, [server]) => {
    const alice = await connectPeer(server!, ALICE, "room");
    await alice.hears("step2");
    const ready = async () => {
      const response = await fetch(`${server!.url}/readyz`);
      await response.body?.cancel();
      return response.status;
    };
    kv.stall();
    alice.text.insert(0, "written meanwhile");
    alice.probe(1);
    assertEquals((await alice.isClosed()).code, 1013);
    assert(!alice.heard.includes("ack 1"));
    assertEquals(await ready(), 503);
    const refused = await fetch(`${server!.url}/xrpc/chat.roomy.v0.sync.getTicket`, {
      method: "POST",
      headers: { authorization: `Bearer ${DEV_TOKEN}` },
      body: JSON.stringify({ room: "room", did: ALICE }),
    });
    assertEquals([refused.status, refused.headers.get("retry-after")], [503, "5"]);
    assertEquals((await refused.json()).error, "StoreUnavailable");

    kv.goOn();
    await until(async () => await ready() === 200);
    const again = await connectPeer(server!, ALICE, "room");
    again.sendUpdate(Y.encodeStateAsUpdate(alice.doc));
    again.probe(2);
    await again.hears("ack 2");
    again.leave();
  },
);
