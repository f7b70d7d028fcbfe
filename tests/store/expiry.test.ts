import { assert, assertEquals } from "@std/assert";
import * as fc from "fast-check";
import { deleteExpired, expiringKv } from "../../src/store/kv/expiry.ts";

const NOW = Date.UTC(2026, 10, 27);

const entries = async (kv: Deno.Kv) =>
  (await Array.fromAsync(kv.list({ prefix: [] }))).map(({ key }) => key.join("/"));

Deno.test("S31: in a file, expired keys are deleted by us, and no key that was written again", async () => {
  const write = fc.record({
    key: fc.constantFrom("a", "b", "c"),
    expireIn: fc.option(fc.integer({ min: 1, max: 100 }), { nil: undefined }),
    atomic: fc.boolean(),
    pause: fc.integer({ min: 0, max: 30 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(write, { maxLength: 30 }), fc.nat(120), async (writes, wait) => {
      using plain = await Deno.openKv(":memory:");
      let now = NOW;
      const kv = expiringKv(plain, () => now);
      const expected = new Map<string, number>();
      for (const { key, expireIn, atomic, pause } of writes) {
        if (atomic) await kv.atomic().set([key], 1, { expireIn }).commit();
        else await kv.set([key], 1, { expireIn });
        expected.set(key, expireIn === undefined ? Infinity : now + expireIn);
        now += pause;
        await deleteExpired(kv, now);
      }
      now += wait;
      await deleteExpired(kv, now);
      const left = (await entries(plain)).filter((key) => !key.startsWith("expires/"));
      const living = [...expected].filter(([, at]) => at >= now).map(([key]) => key).sort();
      assertEquals(left, living);
      await deleteExpired(kv, now + 1_000);
      assert(!(await entries(plain)).some((key) => key.startsWith("expires/")));
    }),
    { numRuns: 50 },
  );
});

Deno.test("S31: hundreds of keys that expire together all go", async () => {
  using plain = await Deno.openKv(":memory:");
  const kv = expiringKv(plain, () => NOW);
  for (let n = 0; n < 235; n++) await kv.set(["ticket", n], n, { expireIn: 10 });
  await kv.set(["room"], 1);
  await deleteExpired(kv, NOW + 11);
  assertEquals(await entries(plain), ["room"]);
});
