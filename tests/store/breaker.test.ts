import { assert, assertEquals, assertRejects } from "@std/assert";
import { Breaker, guardedKv, StoreDownError } from "../../src/store/kv/breaker.ts";
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
