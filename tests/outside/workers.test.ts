import { assert, assertEquals } from "@std/assert";
import type { TestPeer } from "../sync/test_peer.ts";
import { until } from "../until.ts";
import { ALICE, connectPeer, DEV_TOKEN } from "./clients.ts";
import { Writers } from "./instances.ts";
import { ServerProcess } from "./server_process.ts";

Deno.test("O10: WORKERS=2 serves one room from two threads on one port, and stops as one", async () => {
  const folder = await Deno.makeTempDir();
  const env = { KV_PATH: `${folder}/store.sqlite3`, UNSAFE_DEV_TOKEN: DEV_TOKEN, WORKERS: "2" };
  const writers = new Writers();
  let text: string;
  {
    await using server = await ServerProcess.start(env);
    // The system deals connections out by their ports: of twelve, one thread gets all once in 2,000 runs.
    const peers: TestPeer[] = [];
    for (let n = 0; n < 12; n++) peers.push(await writers.join(server, "room"));
    await writers.write(20, 1);
    await until(() => peers.every((peer) => peer.text.length === 240));
    text = peers[0]!.text.toString();
    for (const peer of peers) assertEquals(peer.text.toString(), text);
    for (const peer of peers) peer.awareness.setLocalState({ name: "here" });
    for (const peer of peers) peer.announce();
    await until(() => peers.every((peer) => peer.sees.length === 12));
    assertEquals(await server.stop(), 0);
    assert(server.log.filter((line) => line.includes('"stopped"')).length === 2);
    for (const peer of peers) assertEquals((await peer.isClosed()).code, 1001);
  }
  await using server = await ServerProcess.start(env);
  const alice = await connectPeer(server, ALICE, "room");
  await alice.hears("step2");
  assertEquals(alice.text.toString(), text);
  alice.leave();
  await Deno.remove(folder, { recursive: true });
});
