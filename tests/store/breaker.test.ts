import { configure, reset } from "@logtape/logtape";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { StoreDownError } from "../../src/store/errors.ts";
import { Breaker, guardedKv } from "../../src/store/kv/breaker.ts";
import { FakeClock } from "../fake_clock.ts";
import { settle } from "../sync/world.ts";
import { hookedKv, type KvHooks } from "./hooked_kv.ts";

/** A store that fails or is silent as the hooks say, behind a breaker, and how often it was asked. */
async function guarded() {
  const clock = new FakeClock();
  const hooks: KvHooks = {};
  const kv = await Deno.openKv(":memory:");
  const breaker = new Breaker(clock);
  const store = guardedKv(hookedKv(kv, hooks), breaker);
  let asked = 0;
  const fail = (answer: () => Promise<void>) => {
    hooks.beforeCommit = () => (asked++, answer());
  };
  const write = () => store.atomic().set(["key"], 1).commit();
  return {
    ...{ clock, hooks, breaker, store, fail, write },
    asked: () => asked,
    [Symbol.dispose]: () => kv.close(),
  };
}

/** Lets so many seconds pass, one by one. */
async function seconds(clock: FakeClock, count: number): Promise<void> {
  for (let n = 0; n < count; n++) {
    clock.advance(1_000);
    await settle();
  }
}

const ill = () => Promise.reject(new Error("ill"));
const silent = () => new Promise<void>(() => {});

Deno.test("S28: a store that fails five times in a row is left alone, and asked by one call each two seconds", async () => {
  using world = await guarded();
  const { clock, breaker, fail, write, asked } = world;
  fail(ill);
  for (let n = 0; n < 5; n++) await assertRejects(write, Error, "ill");
  assert(breaker.isOpen);
  for (let n = 0; n < 10; n++) await assertRejects(write, StoreDownError, "left alone");
  assertEquals(asked(), 5);
  clock.advance(2_000);
  await Promise.allSettled([write(), write(), write()]);
  assertEquals(asked(), 6, "one asks, and the others do not");
  fail(() => Promise.resolve());
  await assertRejects(write, StoreDownError);
  clock.advance(2_000);
  assert((await write()).ok);
  assert(!breaker.isOpen);
  assert((await write()).ok);
});

Deno.test("S28: failures with an answer between them leave no store alone, nor do calls that make no sense", async () => {
  using world = await guarded();
  const { breaker, fail, write, store } = world;
  for (let n = 0; n < 20; n++) {
    fail(n % 5 === 4 ? () => Promise.resolve() : ill);
    await write().catch(() => {});
  }
  for (let n = 0; n < 20; n++) {
    await assertRejects(() => store.get(["x".repeat(4_000)]), TypeError);
  }
  assert(!breaker.isOpen);
});

Deno.test("S28: a store that is silent for ten seconds is left alone at once, unless it answers others", async () => {
  using world = await guarded();
  const { clock, breaker, fail, write, store } = world;
  fail(silent);
  const lonely = assertRejects(write, StoreDownError, "10 s");
  await seconds(clock, 5);
  assertEquals((await store.get(["key"])).value, null);
  await seconds(clock, 5);
  await lonely;
  assert(!breaker.isOpen);

  const last = assertRejects(write, StoreDownError, "10 s");
  await seconds(clock, 10);
  await last;
  assert(breaker.isOpen);
  await assertRejects(() => Array.fromAsync(store.list({ prefix: [] })), StoreDownError);
});

Deno.test("S28: a process that stood still for a minute does not blame the store", async () => {
  using world = await guarded();
  const { clock, breaker, fail, write } = world;
  const { promise, resolve } = Promise.withResolvers<void>();
  fail(() => promise);
  const writing = write();
  clock.advance(60_000);
  await settle();
  resolve();
  assert((await writing).ok);
  assert(!breaker.isOpen);
});

Deno.test("S28: a call that is let through and gets no answer holds nobody up", async () => {
  using world = await guarded();
  const { clock, breaker, fail, write, hooks } = world;
  fail(silent);
  const first = assertRejects(write, StoreDownError);
  await seconds(clock, 10);
  await first;
  clock.advance(2_000);
  const probe = assertRejects(write, StoreDownError, "10 s");
  await settle();
  await assertRejects(write, StoreDownError, "left alone");
  await seconds(clock, 10);
  await probe;
  hooks.beforeCommit = undefined;
  clock.advance(2_000);
  assert((await write()).ok);
  assert(!breaker.isOpen);
});

const sqlite = (text: string) => () => Promise.reject(new TypeError(text));

Deno.test("S30: a store that is full or read-only fails writes at once, is read meanwhile, and is tried again", async () => {
  for (const text of ["database or disk is full", "attempt to write a readonly database"]) {
    using world = await guarded();
    const { clock, breaker, fail, write, store, asked } = world;
    fail(() => Promise.resolve());
    await write();
    fail(sqlite(text));
    const error = await assertRejects(write, StoreDownError, text);
    assert(error.onlyWrites);
    assertEquals(breaker.fault, text.includes("full") ? "full" : "read-only");
    for (let n = 0; n < 10; n++) await assertRejects(write, StoreDownError, "cannot be written");
    assertEquals(asked(), 2, "the first failure is enough");
    for (let n = 0; n < 10; n++) assertEquals((await store.get(["key"])).value, 1);

    // A small write may succeed where the next would fail: a large one has to.
    world.hooks.beforeSet = sqlite(text);
    clock.advance(2_000);
    fail(() => Promise.resolve());
    await assertRejects(write, StoreDownError, text);
    assertEquals(asked(), 2);
    world.hooks.beforeSet = undefined;
    clock.advance(2_000);
    assert((await write()).ok);
    assertEquals(breaker.fault, null);
    assertEquals(await Array.fromAsync(store.list({ prefix: ["proof"] })), []);
  }
});

Deno.test("S30: it is logged once when a store cannot be written, and once when it can again", async () => {
  using world = await guarded();
  const { clock, fail, write } = world;
  const lines: string[] = [];
  await configure({
    sinks: { lines: (record) => lines.push(`${record.level}: ${record.message.join("")}`) },
    loggers: [{ category: "tessera", sinks: ["lines"], lowestLevel: "info" }, {
      category: ["logtape", "meta"],
      sinks: [],
    }],
  });
  try {
    fail(sqlite("database or disk is full"));
    for (let n = 0; n < 20; n++) {
      await assertRejects(write);
      clock.advance(1_000);
      await settle();
    }
    fail(() => Promise.resolve());
    for (let n = 0; n < 12; n++) {
      await write();
      clock.advance(1_000);
    }
  } finally {
    await reset();
  }
  assertEquals(lines.length, 2, lines.join("\n"));
  assert(lines[0]!.startsWith("error: the store cannot be written: database or disk is full."));
  assertEquals(lines[1], "info: the store can be written again");
});

Deno.test("S30: what SQLite says of itself counts as a failure, although it is a TypeError", async () => {
  const texts = ["disk I/O error", "database is locked", "unable to open database file: x"];
  for (const text of texts) {
    using world = await guarded();
    const { breaker, fail, write } = world;
    fail(sqlite(text));
    for (let n = 0; n < 5; n++) await assertRejects(write, StoreDownError, text);
    assertEquals(breaker.fault, "failing", text);
  }
});

Deno.test("S32: damage that is met stays a fault until the service starts again", async () => {
  using world = await guarded();
  const { breaker, hooks, store, write, fail } = world;
  hooks.beforeList = sqlite("database disk image is malformed");
  await assertRejects(() => Array.fromAsync(store.list({ prefix: [] })), StoreDownError);
  hooks.beforeList = undefined;
  fail(() => Promise.resolve());
  assert((await write()).ok);
  assertEquals(breaker.fault, "damaged");
  assertThrows(() => breaker.assertSound(), StoreDownError, "malformed");
});
