import { assert, assertEquals } from "@std/assert";
import { diagnose } from "../../src/cli/diagnosis.ts";
import { KvRoomStore } from "../../src/store/kv/kv_room_store.ts";
import { sweep } from "../../src/store/kv/sweep.ts";
import { Chance } from "../sim/chance.ts";
import { ALICE, connectPeer, DEV_TOKEN } from "./clients.ts";
import { ServerProcess } from "./server_process.ts";

/** How often the server is killed: a few times in every test run, 50 with `CRASH_ROUNDS=50`. */
const ROUNDS = Number(Deno.env.get("CRASH_ROUNDS") ?? 8);

/** One room gets small edits, one such large ones that its log is folded again and again. */
const ROOMS = [{ name: "small", letters: 1 }, { name: "large", letters: 60_000 }];
const WRITERS = 3;
const A_DAY = 24 * 60 * 60_000;

/** What every restart must still have: by room, the words that were acknowledged. */
type Acknowledged = Map<string, Set<string>>;

Deno.test("O13: kill -9 at any moment loses nothing that was acknowledged, and spoils no document", async () => {
  const folder = await Deno.makeTempDir();
  const env = {
    KV_PATH: `${folder}/store.sqlite3`,
    UNSAFE_DEV_TOKEN: DEV_TOKEN,
    LOG_LEVEL: "info",
  };
  const acknowledged: Acknowledged = new Map(ROOMS.map(({ name }) => [name, new Set()]));
  const seed = Date.now();
  const chance = new Chance(seed);
  let caught = 0;
  for (let round = 0; round < ROUNDS; round++) {
    await using server = await ServerProcess.start(env);
    for (const { name } of ROOMS) await check(server, name, acknowledged.get(name)!, seed);
    const writing = ROOMS.flatMap(({ name, letters }) =>
      Array.from(
        { length: WRITERS },
        (_, n) => write(server, name, `${round}.${n}`, letters, acknowledged.get(name)!),
      )
    );
    // The moment of the kill is what is tested: any will do.
    await new Promise((resolve) => setTimeout(resolve, 100 + chance.below(500)));
    await server.kill();
    await Promise.all(writing);
    if (await checkStore(env.KV_PATH, seed)) caught++;
  }
  await using server = await ServerProcess.start(env);
  for (const { name } of ROOMS) await check(server, name, acknowledged.get(name)!, seed);
  const words = [...acknowledged.values()].reduce((sum, { size }) => sum + size, 0);
  console.log(
    `${ROUNDS} kills, ${words} acknowledged edits, ${caught} kills left something unfinished`,
  );
  assert(words > 0);
  await server.kill();
  await Deno.remove(folder, { recursive: true });
});

/** Writes one word after the other, each acknowledged before the next, until the line is cut. */
async function write(
  server: ServerProcess,
  room: string,
  name: string,
  letters: number,
  acknowledged: Set<string>,
): Promise<void> {
  const peer = await connectPeer(server, ALICE, room).catch(() => null);
  if (peer === null) return; // it was killed before this one came in
  const words = peer.doc.getMap<string>("words");
  for (let n = 0; peer.closed === null; n++) {
    const word = `${name}.${n}`;
    words.set(word, "");
    // What is replaced is collected when the log is folded, so the document does not grow with it.
    words.set(`ballast ${name}`, "x".repeat(letters));
    peer.probe(n % 100);
    await Promise.race([peer.hears(`ack ${n % 100}`), peer.isClosed()]);
    if (peer.heard.includes(`ack ${n % 100}`)) acknowledged.add(word);
    peer.heard.length = 0;
  }
}

async function check(
  server: ServerProcess,
  room: string,
  acknowledged: Set<string>,
  seed: number,
): Promise<void> {
  const reader = await connectPeer(server, ALICE, room);
  await Promise.race([reader.hears("step2"), reader.isClosed()]);
  assertEquals(reader.closed, null, `room ${room} cannot be read (seed ${seed})`);
  const there = new Set(reader.doc.getMap("words").keys());
  assertEquals([...acknowledged.difference(there)], [], `lost in ${room} (seed ${seed})`);
  reader.leave();
}

/**
 * Holds the store against itself while nobody has it open: nothing is damaged, and a sweep that comes
 * later leaves nothing unfinished. Returns whether the kill had left anything.
 */
async function checkStore(path: string, seed: number): Promise<boolean> {
  using kv = await Deno.openKv(path);
  const unfinished = () => Array.fromAsync(kv.list({ prefix: ["unfinished"] }));
  const left = (await unfinished()).length;
  await assertWell(kv, seed);
  await sweep(kv, Date.now() + A_DAY);
  assertEquals(await unfinished(), []);
  await assertWell(kv, seed);
  return left > 0;
}

async function assertWell(kv: Deno.Kv, seed: number): Promise<void> {
  for await (const { room, faults, error } of diagnose(kv, new KvRoomStore(kv).rooms(), null)) {
    assertEquals([faults, error], [[], undefined], `room ${room} (seed ${seed})`);
  }
}
