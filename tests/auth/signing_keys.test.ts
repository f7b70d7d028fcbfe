import "../../src/web/deno_2_5.ts";
import { assertEquals, assertStrictEquals } from "@std/assert";
import { type DidDocument, DidResolver } from "@atproto/identity";
import { DEFAULT_DID_CACHE_TIMES as TIMES, KvDidCache } from "../../src/did/did_cache.ts";
import type { DidDirectory } from "../../src/did/did_directory.ts";
import { DidDocuments } from "../../src/did/did_documents.ts";
import { timedOut, unreachable, unusable } from "../../src/web/lookup_failure.ts";
import { SigningKeys } from "../../src/auth/signing_keys.ts";
import { FakeClock } from "../fake_clock.ts";
import { assertRefused } from "./assert_refused.ts";
import { type Account, documentOf, makeAccount, plcDid } from "./service_jwt_maker.ts";
import { until } from "../until.ts";

const alice = await makeAccount(plcDid("alice"));
const rotated = await makeAccount(alice.did, "ES256");
const SECOND = 1_000;
const ADDRESS = "192.0.2.1";

/** The keys of a world where the directory gives the answer that a test wants. */
class World implements DidDirectory, Disposable {
  readonly clock = new FakeClock();
  readonly documents: DidDocuments;
  readonly keys: SigningKeys;
  readonly cache: KvDidCache;
  /** How often the directory was asked. */
  asked = 0;
  #answer: () => Promise<DidDocument | null> = () => Promise.resolve(null);

  constructor(private kv: Deno.Kv) {
    this.cache = new KvDidCache(kv, this.clock, TIMES);
    this.documents = new DidDocuments(this.cache, this, this.clock);
    this.keys = new SigningKeys(this.documents);
  }

  static async open() {
    return new World(await Deno.openKv(":memory:"));
  }

  lookUp(): Promise<DidDocument | null> {
    this.asked++;
    return this.#answer();
  }

  publish(account: Account): this {
    return this.answer(() => Promise.resolve(documentOf(account)));
  }

  fail(error: Error): this {
    return this.answer(() => Promise.reject(error));
  }

  answer(answer: () => Promise<DidDocument | null>): this {
    this.#answer = answer;
    return this;
  }

  /** The key that a call finds, with what it cost the directory. */
  async find(refresh = false): Promise<{ key: string; asked: number }> {
    const before = this.asked;
    return { key: await this.keys.get(alice.did, refresh, ADDRESS), asked: this.asked - before };
  }

  [Symbol.dispose]() {
    this.kv.close();
  }
}

const oldKey = alice.keypair.did();
const newKey = rotated.keypair.did();

Deno.test("D1: a document is used for 5 minutes without asking the directory", async () => {
  using world = (await World.open()).publish(alice);
  assertEquals(await world.find(), { key: oldKey, asked: 1 });
  world.publish(rotated).clock.advance(TIMES.fresh - 1);
  assertEquals(await world.find(), { key: oldKey, asked: 0 });
});

Deno.test("D2: up to 1 hour a document is used at once, and looked up again behind the answer", async () => {
  using world = (await World.open()).publish(alice);
  await world.find();
  world.clock.advance(TIMES.stale - 1);
  const directory = Promise.withResolvers<DidDocument>();
  world.answer(() => directory.promise);
  // The directory has not answered yet: nobody waits for it, and nobody asks it twice.
  assertEquals(await world.find(), { key: oldKey, asked: 1 });
  assertEquals(await world.find(), { key: oldKey, asked: 0 });
  directory.resolve(documentOf(rotated));
  const { updatedAt } = (await world.cache.checkCache(alice.did))!;
  await until(async () => (await world.cache.checkCache(alice.did))!.updatedAt > updatedAt);
  assertEquals([await world.find(), world.asked], [{ key: newKey, asked: 0 }, 2]);
});

Deno.test("D2: a look-up behind the answer that fails does no harm", async () => {
  using world = (await World.open()).publish(alice);
  await world.find();
  world.clock.advance(TIMES.fresh);
  for (
    const error of [
      unreachable("plc.directory", "down"),
      unusable("plc.directory", "nonsense"),
      new Error("a bug"),
    ]
  ) {
    assertEquals(await world.fail(error).find(), { key: oldKey, asked: 1 });
    world.clock.advance(30 * SECOND);
  }
});

Deno.test("D3: a document over 1 hour old is looked up anew", async () => {
  using world = (await World.open()).publish(alice);
  await world.find();
  world.publish(rotated).clock.advance(TIMES.stale);
  assertEquals(await world.find(), { key: newKey, asked: 1 });
});

Deno.test("D4: only while the directory can't be reached, a document is used for up to 1 day", async () => {
  using world = (await World.open()).publish(alice);
  await world.find();
  world.clock.advance(TIMES.stale);
  assertEquals(await world.fail(unreachable("plc.directory", "no route")).find(), {
    key: oldKey,
    asked: 1,
  });
  assertEquals(await world.fail(timedOut("plc.directory")).find(), { key: oldKey, asked: 1 });
  await assertRefused(world.fail(unusable("plc.directory", "nonsense")).find(), "UpstreamFailure");
  // The budget of D8 is spent: not asked is not reached.
  assertEquals(await world.find(), { key: oldKey, asked: 0 });
  world.clock.advance(TIMES.max - TIMES.stale - 1);
  assertEquals(await world.fail(timedOut("plc.directory")).find(), { key: oldKey, asked: 1 });
  world.clock.advance(1);
  await assertRefused(world.find(), "UpstreamTimeout");
});

Deno.test("D5: a DID that does not exist is remembered for 1 minute", async () => {
  using world = await World.open();
  await assertRefused(world.find(), "DidNotFound");
  world.publish(alice).clock.advance(TIMES.negative - 1);
  await assertRefused(world.find(), "DidNotFound");
  assertEquals(world.asked, 1);
  world.clock.advance(1);
  assertEquals(await world.find(), { key: oldKey, asked: 1 });
});

Deno.test("D6: concurrent look-ups of one DID share one request", async () => {
  using world = await World.open();
  const directory = Promise.withResolvers<DidDocument>();
  world.answer(() => directory.promise);
  let looked = 0;
  const recall = world.cache.recall.bind(world.cache);
  world.cache.recall = (did) => recall(did).finally(() => looked++);
  const both = () => [false, true].map((refresh) => world.keys.get(alice.did, refresh, ADDRESS));
  const keys = Array.from({ length: 20 }, both).flat();
  await until(() => looked === 40); // everybody looks here first
  directory.resolve(documentOf(alice));
  assertEquals([new Set(await Promise.all(keys)), world.asked], [new Set([oldKey]), 1]);
});

Deno.test("D7: a DID that is no more is refused at once, its document forgotten", async () => {
  using world = (await World.open()).publish(alice);
  await world.find();
  world.answer(() => Promise.resolve(null));
  await assertRefused(world.find(true), "DidNotFound");
  await assertRefused(world.find(), "DidNotFound");
  world.fail(unreachable("plc.directory", "down")).clock.advance(TIMES.negative);
  await assertRefused(world.find(), "UpstreamFailure");
});

Deno.test("D8: one DID is looked up at most 3 times at once, then once in 30 s, whatever for", async () => {
  using world = (await World.open()).publish(alice);
  for (let i = 0; i < 50; i++) await world.find(true);
  assertEquals(world.asked, 3);
  world.clock.advance(30 * SECOND - 1);
  assertEquals((await world.find(true)).asked, 0);
  world.clock.advance(1);
  for (let i = 0; i < 50; i++) await world.find(true);
  assertEquals(world.asked, 4);
  world.clock.advance(60 * 60 * SECOND);
  for (let i = 0; i < 50; i++) await world.find(true);
  assertEquals(world.asked, 7);
});

Deno.test("D8: without a document, a spent budget is a 502 that says how long to wait", async () => {
  using world = (await World.open()).fail(unreachable("plc.directory", "down"));
  for (let i = 0; i < 3; i++) await assertRefused(world.find(), "UpstreamFailure");
  const refusal = await assertRefused(world.find(), "UpstreamFailure");
  assertEquals([world.asked, refusal.retryAfter], [3, 30]);
});

Deno.test("D9: a refresh that brings nothing leaves the key that is cached", async () => {
  using world = (await World.open()).publish(alice);
  await world.find();
  for (
    const error of [
      unreachable("plc.directory", "down"),
      timedOut("plc.directory"),
      unusable("plc.directory", "nonsense"),
    ]
  ) {
    world.clock.advance(30 * SECOND);
    assertEquals(await world.fail(error).find(true), { key: oldKey, asked: 1 });
  }
  const bug = new Error("a bug");
  assertStrictEquals(await world.fail(bug).find(true).catch((error) => error), bug);
});

/** A label that a DID may hold. */
const name = (i: number) => [...String(i)].map((digit) => "abcdefghij"[Number(digit)]).join("");

/** Callers of other addresses each, or of one: what they are refused with, in the order in which that happens. */
function crowd({ keys }: World, dids: string[], address?: string) {
  const names: string[] = [];
  const attempts = dids.map((did, i) =>
    keys.get(did, false, address ?? `10.0.${i >> 8}.${i & 255}`)
      .catch(({ name }) => names.push(name))
  );
  return { names, all: Promise.all(attempts) };
}

Deno.test("D10: at most 500 look-ups run at once, counted for did:plc and did:web apart", async () => {
  using world = await World.open();
  const directory = Promise.withResolvers<null>();
  const known = Array.from({ length: 101 }, (_, i) => plcDid(`known${name(i)}`));
  for (const did of known) await world.cache.cacheDid(did, { id: did });
  world.clock.advance(TIMES.stale);
  world.answer(() => directory.promise);
  const first = crowd(world, Array.from({ length: 400 }, (_, i) => plcDid(name(i))));
  await until(() => world.asked === 400);
  const refusal = await assertRefused(world.find(), "UpstreamFailure");
  assertEquals([world.asked, refusal.retryAfter], [400, 1]);
  // The cache has their documents, though without a key: a hundred places are theirs.
  const second = crowd(world, known);
  await until(() => world.asked === 500);
  await until(() => second.names.length === 1);
  assertEquals(second.names, ["BadJwtIss"], "the last goes by what is cached");
  const web = crowd(world, ["did:web:example.com"]);
  await until(() => world.asked === 501);
  directory.resolve(null);
  await Promise.all([first.all, second.all, web.all]);
  assertEquals(
    new Set([...first.names, ...second.names.slice(1), ...web.names]),
    new Set(["DidNotFound"]),
  );
  assertEquals((await world.publish(alice).find()).asked, 1);
});

Deno.test("D15: the hosts of one registrable domain have ten look-ups at once, and others their own", async () => {
  using world = await World.open();
  const directory = Promise.withResolvers<null>();
  world.answer(() => directory.promise);
  const hosts = (domain: string, count: number) =>
    Array.from({ length: count }, (_, i) => `did:web:${name(i)}.${domain}`);
  const slow = crowd(world, [...hosts("slow.co.uk", 300), ...hosts("x.slow.co.uk", 200)]);
  await until(() => slow.names.length === 490);
  const others = crowd(world, ["did:web:fast.co.uk", "did:web:a.github.io", "did:web:b.github.io"]);
  await until(() => world.asked === 13);
  directory.resolve(null);
  await Promise.all([slow.all, others.all]);
  assertEquals(new Set(slow.names.slice(0, 490)), new Set(["UpstreamFailure"]));
  assertEquals(others.names, Array(3).fill("DidNotFound"));
});

Deno.test("D16: callers of one address have fifty look-ups at once, and others their own", async () => {
  using world = await World.open();
  const directory = Promise.withResolvers<null>();
  world.answer(() => directory.promise);
  const dids = Array.from({ length: 100 }, (_, i) => `did:web:${name(i)}.example`);
  const mallory = crowd(world, dids, "2001:db8::1");
  await until(() => mallory.names.length === 50);
  const bob = crowd(world, ["did:web:bob.example"], "2001:db8:0:1::1");
  await until(() => world.asked === 51);
  directory.resolve(null);
  await Promise.all([mallory.all, bob.all]);
  assertEquals(new Set(mallory.names.slice(0, 50)), new Set(["UpstreamFailure"]));
  assertEquals(bob.names, ["DidNotFound"]);
});

Deno.test("D11: a document without a usable #atproto key is refused with BadJwtIss", async () => {
  const good = documentOf(alice);
  const [method] = good.verificationMethod;
  const unusables: DidDocument[] = [
    { id: alice.did },
    { ...good, verificationMethod: [] },
    { ...good, verificationMethod: [{ ...method!, id: `${alice.did}#atproto_labeler` }] },
    { ...good, verificationMethod: [{ ...method!, publicKeyMultibase: "znonsense" }] },
    { ...good, verificationMethod: [{ ...method!, type: "Ed25519VerificationKey2020" }] },
  ];
  for (const document of unusables) {
    using world = await World.open();
    world.answer(() => Promise.resolve(document));
    await assertRefused(world.find(), "BadJwtIss", Deno.inspect(document));
    // A key that has come since is found: what is cached is no reason to refuse.
    assertEquals(await world.publish(alice).find(), { key: oldKey, asked: 1 });
  }
});

Deno.test("D12: a document of up to 48 KB is kept, in any script; a larger one is refused in words", async () => {
  using world = await World.open();
  const filled = (text: string) => ({ ...documentOf(alice), alsoKnownAs: [text] });
  const room = 48 * 1024 - JSON.stringify(filled("")).length;
  // One character outside Latin-1 doubles what KV needs for the whole text.
  const largest = filled("a".repeat(room - 3) + "字");
  await world.cache.cacheDid(alice.did, largest);
  const known = await world.cache.checkCache(alice.did);
  assertEquals<unknown>(known?.doc, largest);
  world.answer(() => Promise.resolve(filled("a".repeat(room + 1))));
  world.clock.advance(TIMES.stale);
  const refusal = await assertRefused(world.find(), "UpstreamFailure");
  assertStrictEquals(refusal.message.includes("larger than 48 KB"), true, refusal.message);
});

Deno.test("D13: the cache stands behind the resolvers of @atproto/identity as well", async () => {
  using world = await World.open();
  let answer: DidDocument | null = documentOf(alice);
  let asked = 0;
  const resolver = new DidResolver({
    didCache: world.cache,
    fetch: () => {
      asked++;
      return Promise.resolve(answer ? Response.json(answer) : new Response(null, { status: 404 }));
    },
  });
  assertEquals(await resolver.resolveAtprotoKey(alice.did), oldKey);
  assertEquals(await resolver.resolveAtprotoKey(alice.did), oldKey);
  assertEquals(asked, 1);
  world.clock.advance(TIMES.fresh);
  answer = documentOf(rotated);
  assertEquals(await resolver.resolveAtprotoKey(alice.did), oldKey, "it waited for the refresh");
  await until(async () => (await resolver.resolveAtprotoKey(alice.did)) === newKey);
  answer = null;
  assertEquals(await resolver.resolve(alice.did, true), null);
  assertEquals(await world.cache.recall(alice.did), "absent");
  await world.cache.clear();
  assertEquals(await world.cache.recall(alice.did), null);
});

Deno.test("D14: an account is gone when its directory says so, and not while that cannot be reached", async () => {
  using world = (await World.open()).publish(alice);
  assertEquals(await world.documents.isGone(alice.did), false);
  world.answer(() => Promise.resolve(null));
  assertEquals([await world.documents.isGone(alice.did), world.asked], [false, 1], "it is fresh");
  world.clock.advance(TIMES.fresh);
  for (
    const error of [
      unreachable("plc.directory", new Error("no route")),
      timedOut("plc.directory"),
      unusable("plc.directory", "it is odd"),
    ]
  ) {
    world.fail(error);
    assertEquals(await world.documents.isGone(alice.did), false);
    world.clock.advance(60 * SECOND);
  }
  world.answer(() => Promise.resolve(null));
  assertEquals(await world.documents.isGone(alice.did), true);
});
