import { assert, assertEquals, assertRejects } from "@std/assert";
import * as fc from "fast-check";
import * as Y from "yjs";
import { diagnose, type Finding } from "../src/cli/diagnosis.ts";
import { KvRoomStore } from "../src/store/kv/kv_room_store.ts";
import { DamagedRoomError } from "../src/store/room_store.ts";
import { hookedKv, type KvHooks } from "./store/hooked_kv.ts";
import { runTask } from "./outside/server_process.ts";
import { poison, updatesOf } from "./sync/test_peer.ts";

const NOW = Date.UTC(2026, 10, 21);
const LARGE = 100_000;

/** An update that builds on nothing: whatever else is lost, it can be read. */
function fact(name: string, bytes: number): Uint8Array {
  const doc = new Y.Doc();
  doc.getMap("facts").set(name, "x".repeat(bytes));
  return Y.encodeStateAsUpdate(doc);
}

/** A room with a snapshot of `a` to `c`, and a log of `d` to `g`, of which `e` is large. */
async function fill(kv: Deno.Kv, room: string): Promise<void> {
  const log = new KvRoomStore(kv).log(room);
  await log.pull();
  const folded = ["a", "b", "c"].map((name) => fact(name, LARGE));
  for (const update of folded) await log.append(update);
  await log.compact(Y.mergeUpdates(folded));
  for (const name of ["d", "e", "f", "g"]) await log.append(fact(name, name === "e" ? LARGE : 10));
}

async function facts(kv: Deno.Kv, room: string): Promise<string> {
  const doc = new Y.Doc();
  for (const update of await new KvRoomStore(kv).log(room).pull()) Y.applyUpdate(doc, update);
  return [...doc.getMap("facts").keys()].sort().join("");
}

async function examineAll(kv: Deno.Kv, repairAt: number | null = null): Promise<Finding[]> {
  return await Array.fromAsync(diagnose(kv, new KvRoomStore(kv).rooms(), repairAt));
}

async function entries(kv: Deno.Kv, prefix: Deno.KvKey): Promise<Deno.KvEntry<Uint8Array>[]> {
  return await Array.fromAsync(kv.list<Uint8Array>({ prefix }));
}

/** One bit is another. */
const flipped = (bytes: Uint8Array, at: number) =>
  bytes.map((byte, n) => n === at % bytes.length ? byte ^ (1 << at % 8) : byte);

Deno.test("B3: the doctor finds nothing wrong with a store that is well, nor in the middle of things", async () => {
  using kv = await Deno.openKv(":memory:");
  let examined = 0;
  const assertWell = async () => {
    for (const finding of await examineAll(kv)) assertEquals(finding, { room: "room", faults: [] });
    examined++;
  };
  const [beforeCommit, afterCommit] = [assertWell, assertWell];
  await fill(hookedKv(kv, { beforeCommit, afterCommit }), "room");
  await assertWell();
  assert(examined > 20);
});

Deno.test("B3: nor while the room is changed under it", async () => {
  using kv = await Deno.openKv(":memory:");
  await fill(kv, "room");
  const log = new KvRoomStore(kv).log("room");
  let changes = 0;
  const hooks: KvHooks = {
    async beforeList() {
      if (changes >= 8) return;
      await log.pull();
      await log.append(fact(`h${changes++}`, LARGE));
      await log.compact(fact("all", LARGE));
    },
  };
  const findings = await Array.fromAsync(diagnose(hookedKv(kv, hooks), ["room"], null));
  assertEquals(findings, [{ room: "room", faults: [] }]);
  assertEquals(changes, 8);
});

const spoil = fc.record({
  pick: fc.nat(),
  how: fc.constantFrom("flip", "lose", "cut"),
  at: fc.nat(),
});

Deno.test("B4: whatever is damaged is noticed and not served; a repair keeps all that can be read, and the rest aside", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(spoil, { minLength: 1, maxLength: 3 }), async (spoils) => {
      using kv = await Deno.openKv(":memory:");
      await fill(kv, "well");
      await fill(kv, "sick");
      const original = await entries(kv, ["room", "sick"]);
      for (const { pick, how, at } of spoils) {
        const all = await entries(kv, ["room", "sick"]);
        const { key, value } = all[pick % all.length]!;
        if (how === "lose") await kv.delete(key);
        else if (how === "flip") await kv.set(key, flipped(value, at));
        else await kv.set(key, value.slice(0, at % value.length));
      }
      const damaged = await entries(kv, ["room", "sick"]);
      const intact = intactFacts(original, damaged);
      fc.pre(intact !== "abcdefg"); // a bit was flipped twice

      await assertRejects(() => facts(kv, "sick"), DamagedRoomError, '"sick"');
      const [sick, well] = await examineAll(kv, NOW);
      assertEquals([well!.room, well!.faults], ["well", []]);
      assert(sick!.faults.length > 0 && sick!.repaired !== undefined, sick!.error);

      assertEquals(await facts(kv, "sick"), intact);
      assertEquals((await examineAll(kv)).flatMap(({ faults }) => faults), []);
      const aside = await entries(kv, ["room", "sick", "aside", new Date(NOW).toISOString()]);
      assertEquals(aside.map(({ value }) => value), damaged.map(({ value }) => value));
      const log = new KvRoomStore(kv).log("sick");
      await log.pull();
      await log.append(fact("z", LARGE));
      assertEquals(await facts(kv, "sick"), intact + "z");
      assertEquals(await facts(kv, "well"), "abcdefg");
      await new KvRoomStore(kv).delete("sick");
      assertEquals(await entries(kv, ["room", "sick"]), []);
      assertEquals(await entries(kv, ["unfinished"]), []);
    }),
    { numRuns: 60 },
  );
});

/** Which facts lie in entries that are as they were. Without the head nobody can tell what a snapshot should be. */
function intactFacts(
  original: Deno.KvEntry<Uint8Array>[],
  now: Deno.KvEntry<Uint8Array>[],
): string {
  const same = (of: Deno.KvEntry<Uint8Array>[]) =>
    of.every(({ key, versionstamp }) =>
      now.some((each) => each.key.join() === key.join() && each.versionstamp === versionstamp)
    );
  const under = (...parts: Deno.KvKey) =>
    original.filter(({ key }) => parts.every((part, n) => key[n + 2] === part));
  const [snapshot, large] = [...Map.groupBy(under("blob"), ({ key }) => key[3]).values()]
    .sort((one, two) => two.length - one.length);
  const parts: [string, Deno.KvEntry<Uint8Array>[]][] = [
    ["abc", [...under("head"), ...snapshot!]],
    ["d", under("log", 4)],
    ["e", [...under("log", 5), ...large!]],
    ["f", under("log", 6)],
    ["g", under("log", 7)],
  ];
  return parts.filter(([, lies]) => same(lies)).map(([names]) => names).join("");
}

Deno.test("B4: an update that breaks the document, and one that builds on nothing, are found and left out", async () => {
  using kv = await Deno.openKv(":memory:");
  const store = new KvRoomStore(kv);
  const [, second] = updatesOf((text) => text.insert(0, "one"), (text) => text.insert(3, "two"));
  for (const update of [fact("a", 10), poison(), fact("b", 10), second!]) {
    await store.log("room").append(update);
  }
  const [finding] = await examineAll(kv, NOW);
  assertEquals(finding!.faults, [
    "1 of its updates cannot be applied",
    "some of its updates build on what is not there",
  ]);
  assertEquals(await facts(kv, "room"), "ab");
  assertEquals(await examineAll(kv), [{ room: "room", faults: [] }]);
});

Deno.test("B5: whoever has a room open when it is repaired must read it anew, and can", async () => {
  using kv = await Deno.openKv(":memory:");
  await fill(kv, "room");
  const log = new KvRoomStore(kv).log("room");
  await log.pull();
  const [first] = await entries(kv, ["room", "room", "log"]);
  await kv.set(first!.key, flipped(first!.value, 20));
  await examineAll(kv, NOW);
  await assertRejects(() => log.append(fact("h", 10)), DamagedRoomError, "repaired");
  await assertRejects(() => log.pull(), DamagedRoomError, "repaired");
  assertEquals(await facts(kv, "room"), "abcefg");
});

Deno.test("B5: a room that changes while it is repaired stays as it was", async () => {
  using kv = await Deno.openKv(":memory:");
  await fill(kv, "room");
  const log = new KvRoomStore(kv).log("room");
  await log.pull();
  const [first] = await entries(kv, ["room", "room", "log"]);
  await kv.set(first!.key, flipped(first!.value, 20));
  let commits = 0;
  const beforeCommit = async () => {
    if (commits++ === 2) await log.append(fact("h", 10));
  };
  const changed = diagnose(hookedKv(kv, { beforeCommit }), ["room"], NOW);
  const [finding] = await Array.fromAsync(changed);
  assert(finding!.error?.includes("changed meanwhile"), finding!.error);
  assertEquals(await entries(kv, ["room", "room", "aside"]), []);
  assertEquals((await examineAll(kv, NOW))[0]!.error, undefined);
  assertEquals(await facts(kv, "room"), "abcefgh");
});

Deno.test("B4: what was put aside stays as it is when the room is repaired again", async () => {
  using kv = await Deno.openKv(":memory:");
  await fill(kv, "room");
  const aside: Deno.KvEntry<Uint8Array>[][] = [];
  for (const at of [NOW, NOW + 1_000]) {
    const [chunk] = await entries(kv, ["room", "room", "blob"]);
    await kv.set(chunk!.key, flipped(chunk!.value, 20));
    await examineAll(kv, at);
    aside.push(await entries(kv, ["room", "room", "aside"]));
  }
  const [first, both] = aside;
  assertEquals(both!.slice(0, first!.length), first);
  assert(both!.slice(first!.length).every(({ key }) => key[4] !== "aside"));
});

Deno.test("B6: `deno task doctor` tells what is wrong and exits with 1; with `--repair` the room is served again", async () => {
  const folder = await Deno.makeTempDir();
  const env = { KV_PATH: `${folder}/store.sqlite3` };
  {
    using kv = await Deno.openKv(env.KV_PATH);
    await fill(kv, "notes");
    const [, second] = await entries(kv, ["room", "notes", "log"]);
    await kv.set(second!.key, flipped(second!.value, 3));
  }
  const found = await runTask("doctor", [], env);
  assertEquals(found.code, 1);
  assert(found.printed.includes('"notes": log entry 5 is damaged; '), found.printed);
  assert(found.printed.includes("1 rooms examined, 1 damaged, 0 repaired"), found.printed);
  const repaired = await runTask("doctor", ["--repair"], env);
  assertEquals(repaired.code, 0);
  assert(repaired.printed.includes("from 4 of 4 readable parts"), repaired.printed);
  assertEquals((await runTask("doctor", ["notes"], env)).code, 0);
  assertEquals((await runTask("doctor", ["--heal"], env)).code, 2);
  using kv = await Deno.openKv(env.KV_PATH);
  assertEquals(await facts(kv, "notes"), "abcdfg");
  await Deno.remove(folder, { recursive: true });
});

Deno.test("E10: `deno task doctor` with a room that is not there is an error", async () => {
  const folder = await Deno.makeTempDir();
  const env = { KV_PATH: `${folder}/store.sqlite3` };
  {
    using kv = await Deno.openKv(env.KV_PATH);
    await fill(kv, "notes");
  }
  const { code, printed } = await runTask("doctor", ["notes", "nosuch"], env);
  assertEquals([code, printed], [2, 'there is no room "nosuch"']);
  await Deno.remove(folder, { recursive: true });
});
