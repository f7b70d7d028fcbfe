import { assert, assertEquals, assertRejects } from "@std/assert";
import { KvRoomStore } from "../../src/store/kv/kv_room_store.ts";
import { examine } from "../../src/store/kv/examine.ts";
import { sweep } from "../../src/store/kv/sweep.ts";
import { RoomDeletedError, type RoomStore } from "../../src/store/room_store.ts";
import { FakeClock } from "../fake_clock.ts";
import { until } from "../until.ts";
import { hookedKv, type KvHooks } from "./hooked_kv.ts";

const LARGE = 800_000; // more than one commit takes
const LATER = 11 * 60_000;

class Crash extends Error {}

/** A store that dies at its n-th commit, before it or after it. */
function mortal(kv: Deno.Kv, n: number, when: "before" | "after"): RoomStore {
  let commits = 0;
  const die = (moment: string) => {
    if (moment === "before") commits++;
    if (commits > n || commits === n && moment === when) throw new Crash();
  };
  const hooks = { beforeCommit: () => die("before"), afterCommit: () => die("after") };
  return new KvRoomStore(hookedKv(kv, hooks));
}

/** All that can be in the middle of something, one after the other; tells of each update that was taken. */
async function live(store: RoomStore, took: (update: Uint8Array) => void): Promise<void> {
  const log = store.log("room");
  await log.pull();
  for (let n = 0; n < 3; n++) {
    for (const update of [new Uint8Array(LARGE).fill(n), new Uint8Array([n])]) {
      await log.append(update);
      took(update);
    }
    await log.compact(new Uint8Array(LARGE).fill(n));
  }
}

async function keys(kv: Deno.Kv): Promise<Deno.KvKey[]> {
  return (await Array.fromAsync(kv.list({ prefix: [] }))).map(({ key }) => key);
}

/** That nothing is left in the store but what the room's next reader reads. */
async function assertTidy(kv: Deno.Kv): Promise<void> {
  assertEquals((await examine(kv, "room")).faults, []);
  const log = new KvRoomStore(kv).log("room");
  const updates = await log.pull();
  const { snapshotBytes, entries } = log.size;
  const inBlobs = updates.filter(({ length }, n) =>
    n === 0 && snapshotBytes > 0 || length > 61_435
  );
  const chunks = inBlobs.reduce((sum, { length }) => sum + Math.ceil(length / (60 * 1024)), 0);
  const left = await keys(kv);
  assertEquals(left.filter(([first]) => first === "unfinished"), []);
  assertEquals(left.filter((key) => key[2] === "log").length, entries);
  assertEquals(left.filter((key) => key[2] === "blob").length, chunks);
}

for (const when of ["before", "after"] as const) {
  Deno.test(`S20: whatever the commit ${when} which an instance dies, a sweep leaves what was taken and nothing else`, async () => {
    let died = 0;
    for (let n = 1;; n++) {
      using kv = await Deno.openKv(":memory:");
      const taken: number[] = [];
      const life = live(mortal(kv, n, when), (update) => taken.push(update[0]!));
      const crashed = await life.then(() => false, (error) => {
        if (!(error instanceof Crash)) throw error;
        return true;
      });
      await sweep(kv, Date.now() + LATER);
      await assertTidy(kv);
      const stored = await new KvRoomStore(kv).log("room").pull();
      const last = taken.at(-1);
      if (last !== undefined) assert(stored.some(([value]) => value! >= last), "an update is lost");
      if (!crashed) break;
      died++;
    }
    assert(died > 20, `it died at ${died} commits only`);
  });

  Deno.test(`S20: whatever the commit ${when} which a deletion dies, a sweep finishes it`, async () => {
    for (let n = 1;; n++) {
      using kv = await Deno.openKv(":memory:");
      await live(new KvRoomStore(kv), () => {});
      await new KvRoomStore(kv).log("another").append(new Uint8Array(LARGE));
      const crashed = await mortal(kv, n, when).delete("room").then(() => false, () => true);
      const marked = (await examine(kv, "room")).deleting;
      await sweep(kv, Date.now() + LATER);
      const left = await keys(kv);
      assertEquals((await examine(kv, "another")).faults, []);
      if (n > 1 || when === "after") {
        assertEquals(left.filter((key) => key[1] === "room"), []);
      } else assert(!marked, "it died before it began");
      if (!crashed) break;
    }
  });
}

Deno.test("S20: what was begun a moment ago is left to whoever began it", async () => {
  using kv = await Deno.openKv(":memory:");
  const hooks: KvHooks = {};
  const log = new KvRoomStore(hookedKv(kv, hooks)).log("room");
  await log.pull();
  let commits = 0;
  hooks.afterCommit = async () => {
    if (++commits === 1) assertEquals(await sweep(kv, Date.now()), 0);
  };
  await log.append(new Uint8Array(LARGE));
  assert(commits > 1);
  await assertTidy(kv);
});

Deno.test("S20: a running instance sweeps by itself", async () => {
  using kv = await Deno.openKv(":memory:");
  await assertRejects(() => live(mortal(kv, 2, "after"), () => {}), Crash);
  const clock = new FakeClock();
  const store = new KvRoomStore(kv, clock);
  await store.join();
  clock.advance(60_000);
  assert((await keys(kv)).some(([first]) => first === "unfinished"));
  clock.advance(LATER);
  await until(async () => !(await keys(kv)).some((key) => key[1] === "room"));
  await store.close();
});

Deno.test("S21: an update that was swept from under a slow writer is not taken, and can be written again", async () => {
  for (const commit of [1, 2, 3]) {
    using kv = await Deno.openKv(":memory:");
    const hooks: KvHooks = {};
    const log = new KvRoomStore(hookedKv(kv, hooks)).log("room");
    await log.pull();
    let commits = 0;
    hooks.beforeCommit = async () => {
      if (commits++ === commit) assertEquals(await sweep(kv, Date.now() + LATER), 1);
    };
    if (commit < 3) {
      const error = await assertRejects(() => log.append(new Uint8Array(LARGE)), Error, "swept");
      assert(!error.message.includes("damaged"));
      assertEquals((await keys(kv)).filter((key) => key[2] === "log"), []);
    }
    hooks.beforeCommit = undefined;
    await log.append(new Uint8Array(LARGE));
    await assertTidy(kv);
  }
});

Deno.test("S22: nobody begins a room anew before the last of it is gone", async () => {
  using kv = await Deno.openKv(":memory:");
  await live(new KvRoomStore(kv), () => {});
  let commits = 0;
  const beforeCommit = async () => {
    if (commits++ === 0) return; // which marks it
    const log = new KvRoomStore(kv).log("room");
    await assertRejects(() => log.append(new Uint8Array(1)), RoomDeletedError);
  };
  await new KvRoomStore(hookedKv(kv, { beforeCommit })).delete("room");
  assert(commits > 2);
  await new KvRoomStore(kv).log("room").append(new Uint8Array(1));
});

Deno.test("S22: a deletion that was overtaken by another does not touch the room that has begun anew", async () => {
  await overtaken((store) => store.delete("room"));
});

Deno.test("S22: nor does a compaction whose room was deleted meanwhile", async () => {
  await overtaken(async (store) => {
    const log = store.log("room");
    await log.pull();
    await log.compact(new Uint8Array(LARGE));
  });
});

/** Halts something at each of its commits in turn, while the room is deleted and begun anew. */
async function overtaken(doing: (store: RoomStore) => Promise<void>): Promise<void> {
  let halts = 0;
  for (let at = 1;; at++) {
    using kv = await Deno.openKv(":memory:");
    await live(new KvRoomStore(kv), () => {});
    const log = new KvRoomStore(kv).log("room");
    await log.pull();
    for (let n = 0; n < 20; n++) await log.append(new Uint8Array(n === 5 ? LARGE : 10));
    let commits = 0;
    const anew = Array.from({ length: 30 }, (_, n) => new Uint8Array(n % 7 === 0 ? 70_000 : 5));
    const hooks: KvHooks = {
      async beforeCommit() {
        if (++commits !== at) return;
        await new KvRoomStore(kv).delete("room");
        const log = new KvRoomStore(kv).log("room");
        for (const update of anew) await log.append(update);
      },
    };
    const failed = await doing(new KvRoomStore(hookedKv(kv, hooks))).then(
      () => null,
      (error) => error,
    );
    if (failed !== null) {
      assert(failed instanceof RoomDeletedError || failed.message.includes("swept"), failed);
    }
    if (commits < at) break;
    halts++;
    const isDeleted = doing.toString().includes("delete") && at === 1;
    await sweep(kv, Date.now() + LATER);
    if (!isDeleted) assertEquals(await new KvRoomStore(kv).log("room").pull(), anew);
    await assertTidy(kv);
  }
  assert(halts > 2, `it was overtaken ${halts} times only`);
}

Deno.test("M15: a deleted room that cannot be swept does not keep a sweep from the others", async () => {
  using kv = await Deno.openKv(":memory:");
  for (const room of ["a", "b", "c"]) {
    await kv.set(["unfinished", room, "room"], { what: "room", since: 0 });
  }
  const list = kv.list.bind(kv);
  kv.list = <T>(selector: Deno.KvListSelector, options?: Deno.KvListOptions) => {
    if ("prefix" in selector && selector.prefix[1] === "b") throw new Crash();
    return list<T>(selector, options);
  };
  await assertRejects(() => sweep(kv, LATER), Crash);
  const left = await Array.fromAsync(list({ prefix: ["unfinished"] }), ({ key }) => key[1]);
  assertEquals(left, ["b"]);
});
