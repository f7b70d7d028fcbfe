import { Buffer } from "node:buffer";
import { assertEquals } from "@std/assert";
import { atproto, type AtprotoOptions } from "../../src/auth/atproto.ts";
import type { Authenticator } from "../../src/auth/authenticator.ts";
import { FakeClock } from "../fake_clock.ts";
import { assertRefused } from "./assert_refused.ts";
import { FakePlc } from "../did/fake_plc.ts";
import {
  type Account,
  documentOf,
  encodePart,
  forgeToken,
  goodClaims,
  goodToken,
  type Json,
  makeAccount,
  METHOD,
  plcDid,
  SERVICE_DID,
  SERVICE_ID,
  signToken,
} from "./service_jwt_maker.ts";
import { until } from "../until.ts";

const alice = await makeAccount(plcDid("alice"), "ES256K");
const bob = await makeAccount(plcDid("bob"), "ES256");

const nobody = () => Promise.resolve(undefined);

/** An authenticator with a directory of its own, in which Alice and Bob have accounts. */
class World implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly plc = new FakePlc();

  readonly auth: Authenticator;

  private constructor(readonly kv: Deno.Kv, options: Partial<AtprotoOptions>) {
    const us = { serviceDid: SERVICE_DID, serviceId: SERVICE_ID };
    this.auth = atproto({ kv, clock: this.clock, ...us, plcUrl: this.plc.url, ...options });
    for (const account of [alice, bob]) this.plc.publish(documentOf(account));
  }

  static async open(options: Partial<AtprotoOptions> = {}) {
    return new World(await Deno.openKv(":memory:"), options);
  }

  call(token: string | null, address = "192.0.2.1") {
    return this.auth.authenticate({ token, method: METHOD, address, claimedDid: nobody });
  }

  token(account: Account, changes?: Json) {
    return goodToken(account, this.clock, changes);
  }

  async [Symbol.asyncDispose]() {
    this.kv.close();
    await this.plc[Symbol.asyncDispose]();
  }
}

Deno.test("A0: a good token proves its iss, on both curves, for both forms of aud", async () => {
  await using world = await World.open();
  await world.auth.warm?.();
  for (const account of [alice, bob]) {
    for (const aud of [SERVICE_DID, `${SERVICE_DID}#${SERVICE_ID}`]) {
      const token = await world.token(account, { aud, sub: plcDid("mallory") });
      assertEquals(await world.call(token), { did: account.did });
    }
    assertEquals(world.plc.asked(account.did), 1);
  }
});

Deno.test("A0: a token with several faults is refused for the earliest", async () => {
  await using world = await World.open();
  const now = world.clock.now() / 1000;
  const claims = goodClaims(plcDid("nobody"), world.clock);
  // In the order of the checks: each is a good token's change for the worse.
  const faults: [string, { header?: Json; payload?: Json; tail?: string }][] = [
    ["BadJwt", { tail: "AA" }],
    ["BadJwt", { header: { crit: [] } }],
    ["BadJwtType", { header: { typ: "at+jwt" } }],
    ["BadJwt", { payload: { jti: 1 } }],
    ["JwtExpired", { payload: { exp: now - 1 } }],
    ["BadJwtLifetime", { payload: { iat: now + 600 } }],
    ["BadJwtAudience", { payload: { aud: "" } }],
    ["BadJwtLexiconMethod", { payload: { lxm: "" } }],
    ["BadJwtIss", { payload: { iss: "did:key:z" } }],
    ["DidNotFound", {}],
  ];
  for (const [i, [name]] of faults.entries()) {
    const rest = faults.slice(i).map(([_, fault]) => fault);
    const header = Object.assign({ alg: "ES256K" }, ...rest.map((fault) => fault.header));
    const payload = Object.assign({ ...claims }, ...rest.map((fault) => fault.payload));
    const token = forgeToken(payload, header) + (rest[0]?.tail ?? "");
    await assertRefused(world.call(token), name, `check ${i}`);
  }
  // A wrong signature comes before a replay.
  const spent = goodClaims(alice.did, world.clock);
  await world.call(await signToken(alice.keypair, spent));
  await assertRefused(world.call(forgeToken(spent)), "BadJwtSignature");
});

Deno.test("A0: what only upstream refuses has a name too", async () => {
  await using world = await World.open();
  await assertRefused(world.call(await world.token(alice, { nonce: 1 })), "BadJwt");
  // By the clock on the wall, which upstream reads: it ran out between our check and upstream's.
  const past = new FakeClock(Date.UTC(2000, 0, 1));
  const us = { serviceDid: SERVICE_DID, serviceId: SERVICE_ID };
  const auth = atproto({ kv: world.kv, clock: past, ...us });
  const token = await goodToken(alice, past);
  const call = { token, method: METHOD, address: "192.0.2.1", claimedDid: nobody };
  await assertRefused(auth.authenticate(call), "JwtExpired");
});

Deno.test("A2: a call without a token is refused with AuthMissing", async () => {
  await using world = await World.open();
  await assertRefused(world.call(null), "AuthMissing");
  await assertRefused(world.call(""), "AuthMissing");
});

Deno.test("A8: the cap on a token's life is a setting", async () => {
  await using world = await World.open({ jwtMaxLifetime: 60 * 60_000 });
  const exp = world.clock.now() / 1000 + 60 * 60;
  await world.call(await world.token(alice, { exp }));
  await assertRefused(world.call(await world.token(alice, { exp: exp + 1 })), "BadJwtLifetime");
});

Deno.test("A11: a token that its own did:key signed is refused", async () => {
  await using world = await World.open();
  const token = await world.token({ did: alice.keypair.did(), keypair: alice.keypair });
  await assertRefused(world.call(token), "BadJwtIss");
});

Deno.test("A12: one DID has so many proven calls a minute, and nobody else can use them up", async () => {
  await using world = await World.open({ limits: { callsPerDid: 2 } });
  const mallory = { ...alice, keypair: bob.keypair };
  for (let i = 0; i < 5; i++) {
    await assertRefused(world.call(await world.token(mallory)), "BadJwtSignature");
  }
  const token = await world.token(alice);
  await world.call(token);
  for (let i = 0; i < 5; i++) await assertRefused(world.call(token), "JwtReplayed");
  await world.call(await world.token(alice));
  const refusal = await assertRefused(world.call(await world.token(alice)), "RateLimitExceeded");
  assertEquals(refusal.retryAfter! >= 1 && refusal.retryAfter! <= 60, true);
  // Refused before the signature costs anything.
  await assertRefused(world.call(await world.token(mallory)), "RateLimitExceeded");
  await world.call(await world.token(bob));
});

Deno.test("A12: calls at the same time do not get round the limit", async () => {
  await using world = await World.open({ limits: { callsPerDid: 2 } });
  const tokens = await Promise.all(Array.from({ length: 10 }, () => world.token(alice)));
  const results = await Promise.allSettled(tokens.map((token) => world.call(token)));
  assertEquals(results.filter(({ status }) => status === "fulfilled").length, 2);
});

Deno.test("N10: while too many tokens are being verified, no more are", async () => {
  await using world = await World.open({ limits: { verifications: 2 } });
  const answer = Promise.withResolvers<Response>();
  world.plc.answer(alice.did, () => answer.promise);
  const waiting = [world.call(await world.token(alice)), world.call(await world.token(alice))];
  await until(() => world.plc.asked(alice.did) > 0);
  const refusal = await assertRefused(world.call(await world.token(bob)), "TooBusy");
  assertEquals([refusal.status, refusal.retryAfter], [503, 1]);
  answer.resolve(Response.json(documentOf(alice)));
  await Promise.all(waiting);
  await world.call(await world.token(bob));
});

Deno.test("A12: what the directory answers has its name and status", async () => {
  await using world = await World.open();
  const answers: [string, () => Response][] = [
    ["DidNotFound", () => new Response(null, { status: 404 })],
    ["DidNotFound", () => new Response(null, { status: 410 })],
    ["UpstreamFailure", () => new Response(null, { status: 500 })],
    ["UpstreamFailure", () => new Response("<html>")],
    ["BadJwtIss", () => Response.json(documentOf(bob))],
    ["UpstreamFailure", () => new Response(new Uint8Array(50_000))],
    ["BadJwtIss", () => Response.json({ id: plcDid("carol") })],
  ];
  for (const [name, answer] of answers) {
    world.plc.answer(plcDid("carol"), answer);
    const token = await world.token({ ...alice, did: plcDid("carol") });
    await assertRefused(world.call(token), name, `${answer}`);
    // Past all that is remembered.
    world.clock.advance(25 * 60 * 60_000);
  }
});

Deno.test("A13: only the signature of the account's key, in its one spelling, is good", async () => {
  await using world = await World.open();
  const n = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
  const token = await world.token(alice);
  const [head, payload, signature] = token.split(".") as [string, string, string];
  const bytes = Buffer.from(signature, "base64url");
  const highS = Buffer.from(bytes);
  const s = BigInt(`0x${bytes.subarray(32).toString("hex")}`);
  highS.write((n - s).toString(16).padStart(64, "0"), 32, "hex");
  const flipped = Buffer.from(bytes);
  flipped[10]! ^= 1;
  const es256 = { typ: "JWT", alg: "ES256" };
  const claims = goodClaims(alice.did, world.clock);
  const bad = {
    "high s": `${head}.${payload}.${encodePart(highS)}`,
    "a flipped bit": `${head}.${payload}.${encodePart(flipped)}`,
    "another payload": `${head}.${encodePart(claims)}.${signature}`,
    "zeros": `${head}.${payload}.${encodePart(new Uint8Array(64))}`,
    "another's key": await signToken(bob.keypair, claims),
    "another alg than the key's": await signToken(alice.keypair, claims, es256),
  };
  for (const [what, forged] of Object.entries(bad)) {
    await assertRefused(world.call(forged), "BadJwtSignature", what);
  }
  // Nothing of these was remembered: the token that they were made of is still good.
  await world.call(token);
});

Deno.test("A13: a rotated key is picked up by one look-up, also when it changes the curve", async () => {
  for (const alg of ["ES256K", "ES256"] as const) {
    await using world = await World.open();
    await world.call(await world.token(alice));
    const rotated = await makeAccount(alice.did, alg);
    world.plc.publish(documentOf(rotated));
    await world.call(await world.token(rotated));
    assertEquals(world.plc.asked(alice.did), 2);
    await assertRefused(world.call(await world.token(alice)), "BadJwtSignature", "the old key");
  }
});

Deno.test("A13: 10,000 bad tokens make the directory answer 3 times", async () => {
  await using world = await World.open();
  const names = new Set<string>();
  for (let i = 0; i < 100; i++) {
    const bad = Array.from({ length: 100 }, () => forgeToken(goodClaims(alice.did, world.clock)));
    const calls = bad.map((token) => world.call(token).catch((refusal) => names.add(refusal.name)));
    await Promise.all(calls);
  }
  assertEquals([[...names], world.plc.asked(alice.did)], [["BadJwtSignature"], 3]);
  await world.call(await world.token(alice));
});

Deno.test("A13: while the directory is down, a bad token is refused by the key that is cached", async () => {
  await using world = await World.open();
  await world.call(await world.token(alice));
  world.plc.answer(alice.did, () => new Response(null, { status: 503 }));
  const token = await world.token({ ...alice, keypair: bob.keypair });
  await assertRefused(world.call(token), "BadJwtSignature");
  await world.call(await world.token(alice));
});

Deno.test("A13: the account of a DID that is no more is refused", async () => {
  await using world = await World.open();
  await world.call(await world.token(alice));
  world.plc.answer(alice.did, () => new Response(null, { status: 410 }));
  await assertRefused(world.call(forgeToken(goodClaims(alice.did, world.clock))), "DidNotFound");
  await assertRefused(world.call(await world.token(alice)), "DidNotFound");
});

Deno.test("A14: a token is good once, also for 50 calls at the same time", async () => {
  await using world = await World.open();
  const token = await world.token(alice);
  const calls = Array.from({ length: 50 }, () => world.call(token));
  const results = await Promise.allSettled(calls);
  const names = results.map((result) => result.status === "rejected" ? result.reason.name : "good");
  assertEquals(names.sort(), ["good", ...Array(49).fill("JwtReplayed")].sort());
  world.clock.advance(59_000);
  await assertRefused(world.call(token), "JwtReplayed");
});

Deno.test("A14: a jti belongs to its iss, and is free again 30 s after its exp", async () => {
  await using world = await World.open();
  const jti = "the same for all of us";
  await world.call(await world.token(alice, { jti }));
  await world.call(await world.token(bob, { jti }));
  await assertRefused(world.call(await world.token(alice, { jti })), "JwtReplayed");
  world.clock.advance(60_000 + 29_999);
  await assertRefused(world.call(await world.token(alice, { jti })), "JwtReplayed");
  // KV deletes late, so that its entry is still there: the stored time decides.
  world.clock.advance(1);
  await world.call(await world.token(alice, { jti }));
});

Deno.test("A14: a token without jti or iat is good once too", async () => {
  await using world = await World.open();
  const { jti: _, iat: __, ...claims } = goodClaims(alice.did, world.clock);
  const token = await signToken(alice.keypair, claims);
  await world.call(token);
  await assertRefused(world.call(token), "JwtReplayed");
  await world.call(await signToken(alice.keypair, { ...claims, exp: Number(claims.exp) + 1 }));
  // Nor does a jti with the same text stand for it.
  await world.call(await world.token(alice, { jti: token.split(".")[1]!.slice(0, 100) }));
});

Deno.test("A14: only a proven token spends its jti", async () => {
  await using world = await World.open();
  const claims = goodClaims(alice.did, world.clock);
  await assertRefused(world.call(await signToken(bob.keypair, claims)), "BadJwtSignature");
  await world.call(await signToken(alice.keypair, claims));
});

Deno.test("A0: what is thrown and unknown comes through as it is", async () => {
  await using world = await World.open();
  const token = await world.token(alice);
  await world.call(await world.token(alice));
  const broken = new Error("KV is down");
  const kv = new Proxy(world.kv, { get: () => () => Promise.reject(broken) });
  const auth = atproto({ kv, clock: world.clock, serviceDid: SERVICE_DID, serviceId: SERVICE_ID });
  const call = auth.authenticate({
    token,
    method: METHOD,
    address: "192.0.2.1",
    claimedDid: nobody,
  });
  assertEquals(await call.catch((error) => error), broken);
});

Deno.test("D2: behind an answer, the directory is asked once by a whole crowd", async () => {
  await using world = await World.open();
  await world.call(await world.token(alice));
  world.clock.advance(10 * 60_000);
  const tokens = await Promise.all(Array.from({ length: 20 }, () => world.token(alice)));
  await Promise.all(tokens.map((token) => world.call(token)));
  await until(async () => {
    const { value } = await world.kv.get<{ storedAt: number }>(["did", alice.did]);
    return value?.storedAt === world.clock.now();
  });
  assertEquals(world.plc.asked(alice.did), 2);
});
