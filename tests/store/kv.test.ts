import { assert, assertEquals, assertRejects } from "@std/assert";
import { Company } from "../../src/store/kv/company.ts";
import { GroupCommit } from "../../src/store/kv/group_commit.ts";
import { spreadKv } from "../../src/store/kv/spread_kv.ts";
import { KvRoomStore } from "../../src/store/kv/kv_room_store.ts";
import { openKv, StoreUnavailableError } from "../../src/store/kv/open_kv.ts";
import { patientKv } from "../../src/store/kv/patient_kv.ts";
import { DamagedRoomError } from "../../src/store/room_store.ts";
import { FakeClock } from "../fake_clock.ts";
import { settle } from "../sync/world.ts";
import { until } from "../until.ts";
import { testRoomStore } from "./contract.ts";
import { hookedKv, type KvHooks } from "./hooked_kv.ts";

testRoomStore("KV", async () => {
  const kv = await Deno.openKv(":memory:");
  const [ours, theirs] = [new KvRoomStore(kv), new KvRoomStore(kv)];
  await ours.join();
  await theirs.join();
  await until(() => ours.presence.hasOthers);
  return {
    ours,
    theirs,
    async change(key) {
      const { versionstamp } = await kv.set(key, crypto.randomUUID());
      return { key, versionstamp };
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([ours.close(), theirs.close()]);
      kv.close();
    },
  };
});

async function keys(kv: Deno.Kv, prefix: Deno.KvKey): Promise<Deno.KvKey[]> {
  return (await Array.fromAsync(kv.list({ prefix }))).map(({ key }) => key);
}

Deno.test("S9: a compaction leaves nothing of what it replaced", async () => {
  using kv = await Deno.openKv(":memory:");
  const log = new KvRoomStore(kv).log("room");
  await log.pull();
  await log.append(new Uint8Array(200_000));
  await log.append(new Uint8Array(10));
  assert(await log.compact(new Uint8Array(200_000)));
  assert(await log.compact(new Uint8Array(100_000)));
  const left = await keys(kv, ["room", "room"]);
  assertEquals(left.filter((key) => key[2] === "log"), []);
  assertEquals(
    left.filter((key) => key[2] === "blob").length,
    2,
    "two chunks of the newest snapshot",
  );
});

Deno.test("S10: a flipped bit is noticed in a log entry, in a large update and in a snapshot", async () => {
  using kv = await Deno.openKv(":memory:");
  const store = new KvRoomStore(kv);
  const write = async (room: string, update: Uint8Array, compact: boolean) => {
    const log = store.log(room);
    await log.pull();
    await log.append(update);
    if (compact) await log.compact(update);
  };
  await write("entry", new Uint8Array(100), false);
  await write("large", new Uint8Array(100_000), false);
  await write("snapshot", new Uint8Array(100_000), true);
  for (const [room, part] of [["entry", "log"], ["large", "blob"], ["snapshot", "blob"]] as const) {
    const [key] = await keys(kv, ["room", room, part]);
    const { value } = await kv.get<Uint8Array>(key!);
    value![50]! ^= 1;
    await kv.set(key!, value);
    await assertRejects(() => store.log(room).pull(), DamagedRoomError, JSON.stringify(room));
  }
});

Deno.test("S10: a missing log entry is noticed", async () => {
  using kv = await Deno.openKv(":memory:");
  const log = new KvRoomStore(kv).log("room");
  await log.pull();
  for (let n = 1; n <= 3; n++) await log.append(new Uint8Array([n]));
  for (const seq of [3, 2]) {
    await kv.delete(["room", "room", "log", seq]);
    const reader = new KvRoomStore(kv).log("room");
    await assertRejects(() => reader.pull(), DamagedRoomError, `entry ${seq} is missing`);
  }
});

Deno.test("S11: a group commits together, and a member whose check fails harms no other", async () => {
  using kv = await Deno.openKv(":memory:");
  await kv.set(["n", 7], "taken");
  const committer = new GroupCommit(kv);
  const stamps = await Promise.all(Array.from({ length: 250 }, (_, n) =>
    committer.commit({
      subject: `room ${n}`,
      checks: [["n", n], ["never set"]].map((key) => ({ key, versionstamp: null })),
      sets: [{ key: ["n", n], value: new Uint8Array(9_000) }], // a hundred are more than KV takes
      bytes: 9_000,
    })));
  assertEquals(stamps.flatMap((stamp, n) => stamp === null ? [n] : []), [7]);
  assertEquals((await kv.get(["n", 7])).value, "taken");
  assertEquals((await keys(kv, ["n"])).length, 250);
  const commits = new Set(stamps).size;
  assert(commits < 250, "no two of them shared a commit");
});

Deno.test("M24: changes with the longest keys, all at once, fail no commit, whether they set or delete", async () => {
  using kv = await Deno.openKv(":memory:");
  const commits = new GroupCommit(kv);
  const change = (n: number, keys: number, value: unknown, bytes: number) =>
    commits.commit({
      subject: `room ${n}`,
      checks: [],
      sets: [
        ...Array.from(
          { length: keys },
          (_, m) => ({ key: [`${n} ${m} `.padEnd(2_000, "k")], value }),
        ),
        { key: ["short", n], value: new Uint8Array(bytes) },
      ],
      bytes,
    });
  const sets = Array.from({ length: 100 }, (_, n) => change(n, n % 2, "value", 10));
  const deletes = Array.from({ length: 100 }, (_, n) => change(n, 8, undefined, 20_000));
  assertEquals((await Promise.all([...sets, ...deletes])).includes(null), false);
});

Deno.test("S11: of many that want the same key, all at once, one gets it", async () => {
  using kv = await Deno.openKv(":memory:");
  const committer = new GroupCommit(kv);
  const stamps = await Promise.all(Array.from({ length: 60 }, (_, n) => {
    const key = ["n", n % 3];
    const sets = [{ key, value: n }];
    const checks = [{ key, versionstamp: null }];
    return committer.commit({ subject: `n ${n % 3}`, checks, sets, bytes: 8 });
  }));
  assertEquals(stamps.flatMap((stamp, n) => stamp === null ? [] : [n]), [0, 1, 2]);
});

Deno.test("S24: an instance that comes, or was taken for dead and comes back, is told who is present", async () => {
  using kv = await Deno.openKv(":memory:");
  const [clock, slow] = [new FakeClock(), new FakeClock()];
  const [ours, theirs] = [new KvRoomStore(kv, clock), new KvRoomStore(kv, slow)];
  let asked = 0;
  theirs.watch("room", (what) => what === "audience" && asked++);
  await theirs.join();
  await ours.join();
  await until(() => theirs.presence.hasOthers && ours.presence.hasOthers && asked > 0);
  await theirs.presence.publish("room", new Uint8Array([1]));
  assertEquals((await ours.presence.others("room")).size, 1);

  // They do not beat, for their clock stands still.
  await until(() => (clock.advance(1_000), !ours.presence.hasOthers));
  await until(async () => (await keys(kv, ["presence"])).length === 0);
  asked = 0;
  await until(() => (slow.advance(1_000), asked > 0));
  await until(() => (clock.advance(1_000), slow.advance(1_000), ours.presence.hasOthers));
  await theirs.presence.publish("room", new Uint8Array([2]));
  assertEquals([...(await ours.presence.others("room")).values()], [new Uint8Array([2])]);
  await Promise.all([ours.close(), theirs.close()]);
});

Deno.test("P11: the era grows with each beat of any instance, and over restarts and deaths", async () => {
  using kv = await Deno.openKv(":memory:");
  const clock = new FakeClock();
  const start = async () => {
    const store = new KvRoomStore(kv, clock);
    await store.join();
    return store;
  };
  const first = await start();
  const earliest = first.presence.era;
  const second = await start();
  const { era } = second.presence;
  assert(earliest > 0 && era > earliest, `${earliest}, ${era}`);
  await until(() => (clock.advance(1_000), first.presence.era > era + 2));
  await until(() => (clock.advance(1_000), second.presence.era > era + 2));
  await first.close();
  const dead = second.presence.era; // it is just not heard of any more
  const third = await start();
  assert(third.presence.era > dead, "it begins anew after a death");
  const latest = third.presence.era;
  await third.close();
  for await (const { key } of kv.list({ prefix: ["instance"] })) await kv.delete(key);
  const fourth = await start();
  assert(fourth.presence.era > latest, "it begins anew after a restart");
  await until(() => (clock.advance(1_000), fourth.presence.era > latest + 20));
  // They die, and are found dead, or what they showed expires, before anybody starts again.
  const last = Math.max(second.presence.era, fourth.presence.era);
  for await (const { key } of kv.list({ prefix: ["instance"] })) await kv.delete(key);
  const fifth = await start();
  assert(fifth.presence.era > last, "it begins anew after a long outage");
  await Promise.all([second.close(), fourth.close(), fifth.close()]);
});

Deno.test("P11: an instance that asks gets an era later than any other had, however many ask at once", async () => {
  using kv = await Deno.openKv(":memory:");
  const clock = new FakeClock(); // it stands still: nobody beats
  const stores = Array.from({ length: 3 }, () => new KvRoomStore(kv, clock));
  for (const store of stores) await store.join();
  await until(() => stores.every(({ presence }) => presence.hasOthers));
  for (let n = 0; n < 30; n++) {
    const [asking, ...others] = [0, 1, 2].map((i) => stores[(n + i) % 3]!.presence);
    const before = Math.max(...others.map(({ era }) => era));
    await Promise.all(Array.from({ length: 1 + n % 3 }, () => asking!.advance()));
    assert(asking!.era > before, `${asking!.era}, ${before}`);
  }
  await Promise.all(stores.map((store) => store.close()));
});

Deno.test("S25: calls at once go over connections of their own, while there are any", async () => {
  const stores = [await Deno.openKv(":memory:"), await Deno.openKv(":memory:")];
  const { promise: held, resolve: release } = Promise.withResolvers<void>();
  const kv = spreadKv(stores.map((store) => hookedKv(store, { beforeCommit: () => held })));
  const first = kv.atomic().set(["a"], 1).commit();
  const second = kv.atomic().set(["b"], 2).commit();
  const listed = Array.fromAsync(kv.list({ prefix: [] })); // both are busy: it shares one
  assertEquals(await listed, []);
  release();
  await Promise.all([first, second]);
  const there = await Promise.all(stores.map((store) => keys(store, [])));
  assertEquals(there.flat().length, 2);
  assertEquals(there.map(({ length }) => length), [1, 1]);
  kv.close();
  for (const store of stores) await assertRejects(() => store.get(["a"]), Error, "Bad resource");
});

Deno.test("S23: rooms that commit at about the same time wait for each other, and a room alone does not", async () => {
  using kv = await Deno.openKv(":memory:");
  const clock = new FakeClock();
  let commits = 0;
  const counted = hookedKv(kv, { beforeCommit: () => void commits++ });
  const committer = new GroupCommit(counted, { company: new Company(clock) });
  const commit = (n: number) =>
    committer.commit({ subject: `room ${n}`, checks: [], sets: [], bytes: 0 });
  for (let n = 0; n < 5; n++) await commit(0); // whatever the clock says
  assertEquals(commits, 5);

  clock.advance(8);
  for (let n = 0; n < 4; n++) await commit(n); // these are company, for the next 8 ms
  clock.advance(8);
  commits = 0;
  const few = [commit(0), commit(1)];
  await settle();
  assertEquals(commits, 0, "it did not wait");
  clock.advance(4);
  const all = [...few, commit(2), commit(3)];
  await Promise.all(all);
  assertEquals(commits, 1, "the last of them was there");

  const lonely = commit(0);
  await settle();
  assertEquals(commits, 1);
  clock.advance(8);
  await lonely;
  assertEquals(commits, 2, "it waits no longer than that");

  clock.advance(16);
  await commit(0);
  assertEquals(commits, 3, "nobody was there lately");
});

Deno.test("S6: a compaction that another instance has overtaken changes nothing", async () => {
  using kv = await Deno.openKv(":memory:");
  const hooks: KvHooks = {};
  const ours = new KvRoomStore(hookedKv(kv, hooks)).log("room");
  const theirs = new KvRoomStore(kv).log("room");
  await ours.pull();
  await ours.append(new Uint8Array([1]));
  await theirs.pull();
  await theirs.append(new Uint8Array([2]));

  const { promise, resolve: goOn } = Promise.withResolvers<void>();
  hooks.beforeList = () => promise;
  const compaction = ours.compact(new Uint8Array([1]));
  assert(await theirs.compact(new Uint8Array([1, 2])));
  hooks.beforeList = undefined;
  assertEquals(await ours.append(new Uint8Array([3])), [new Uint8Array([1, 2])]);
  goOn();
  assertEquals(await compaction, false);
  const stored = await new KvRoomStore(kv).log("room").pull();
  assertEquals(stored, [new Uint8Array([1, 2]), new Uint8Array([3])]);
});

Deno.test("S13: a snapshot that does not read back as it was written replaces nothing", async () => {
  using kv = await Deno.openKv(":memory:");
  const log = new KvRoomStore(hookedKv(kv, {
    tamper: (key, value) =>
      key[2] === "blob" ? (value as Uint8Array).map((byte) => byte ^ 1) : value,
  })).log("room");
  await log.pull();
  await log.append(new Uint8Array([1]));
  await assertRejects(() => log.compact(new Uint8Array([1])), DamagedRoomError, "read back");
  await log.append(new Uint8Array([2]));
  const stored = await new KvRoomStore(kv).log("room").pull();
  assertEquals(stored, [new Uint8Array([1]), new Uint8Array([2])]);
});

Deno.test("S18: an append that fails on the way loses nothing of what it had read", async () => {
  using kv = await Deno.openKv(":memory:");
  const hooks: KvHooks = {};
  const ours = new KvRoomStore(hookedKv(kv, hooks)).log("room");
  const theirs = new KvRoomStore(kv).log("room");
  await ours.pull();
  await theirs.append(new Uint8Array([1]));
  let commits = 0;
  hooks.beforeCommit = () => {
    if (++commits === 2) throw new Error("database is gone");
  };
  await assertRejects(() => ours.append(new Uint8Array([2])), Error, "gone");
  assertEquals(await ours.compact(new Uint8Array([2])), false, "a snapshot without what was read");
  assertEquals(await ours.append(new Uint8Array([2])), [new Uint8Array([1])]);
});

Deno.test("S19: a file that another thread has locked is tried again, and nobody hears of it", async () => {
  using kv = await Deno.openKv(":memory:");
  let failures = 3;
  let failure = "database is locked";
  const patient = patientKv(hookedKv(kv, {
    beforeCommit: () => {
      if (failures-- > 0) throw new TypeError(failure);
    },
  }));
  const write = () =>
    patient.atomic().check({ key: ["a"], versionstamp: null }).set(["a"], 1).commit();
  assert((await write()).ok);
  assert(!(await write()).ok);
  failures = 1;
  failure = "disk I/O error";
  await assertRejects(write, TypeError, "disk I/O error");
});

Deno.test("S12: a store that cannot be opened says so in words", async () => {
  const file = await Deno.makeTempFile();
  const error = await assertRejects(() => openKv(`${file}/store.sqlite3`), StoreUnavailableError);
  assert(error.message.includes(file), error.message);
  await Deno.remove(file);
});

Deno.test("S27: a store that takes fewer checks in a commit than the embedded one gets fewer, and loses nothing", async () => {
  const kv = await Deno.openKv(":memory:");
  let largest = 0;
  const strict = new Proxy(kv, {
    get(target, name) {
      if (name !== "atomic") return Reflect.get(target, name).bind(target);
      return () => {
        const atomic = target.atomic();
        const [check, commit] = [atomic.check.bind(atomic), atomic.commit.bind(atomic)];
        let checks = 0;
        return Object.assign(atomic, {
          check: (...all: Deno.AtomicCheck[]) => (checks += all.length, check(...all)),
          commit: () => {
            if (checks > 10) return Promise.reject(new Error("Too many checks included in atomic"));
            largest = Math.max(largest, checks);
            return commit();
          },
        });
      };
    },
  });
  const commits = new GroupCommit(strict, { lanes: 3 }); // several find it out at once
  const commit = (n: number) =>
    commits.commit({
      subject: String(n),
      checks: [{ key: ["n", n], versionstamp: null }],
      sets: [{ key: ["n", n], value: n }],
      bytes: 10,
    });
  const stamps = await Promise.all(Array.from({ length: 495 }, (_, n) => commit(n)));
  assertEquals(stamps.filter((stamp) => stamp !== null).length, 495);
  assertEquals((await keys(kv, ["n"])).length, 495);
  assertEquals(largest, 10);
  kv.close();
});

Deno.test("S29: tickets are committed several groups at once, as soon as a whole group waits, and no more", async () => {
  using kv = await Deno.openKv(":memory:");
  let [underWay, most] = [0, 0];
  const held = Promise.withResolvers<void>();
  const hooked = hookedKv(kv, {
    beforeCommit: () => (most = Math.max(most, ++underWay), held.promise),
    afterCommit: () => void underWay--,
  });
  const commits = new GroupCommit(hooked, { lanes: 3 });
  const commit = (n: number) =>
    commits.commit({
      subject: `${n}`,
      checks: [{ key: ["n", n], versionstamp: null }],
      sets: [{ key: ["n", n], value: n }],
      bytes: 10,
    });
  const all = Array.from({ length: 99 }, (_, n) => commit(n));
  await until(() => underWay === 1);
  all.push(...Array.from({ length: 99 }, (_, n) => commit(100 + n)));
  await settle();
  assertEquals(underWay, 1, "less than a group waits");
  all.push(...Array.from({ length: 500 }, (_, n) => commit(200 + n)));
  await until(() => underWay === 3);
  await settle();
  held.resolve();
  assert((await Promise.all(all)).every((versionstamp) => versionstamp !== null));
  assertEquals([most, underWay], [3, 0]);
});
