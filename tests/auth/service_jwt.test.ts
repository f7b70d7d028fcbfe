import { Buffer } from "node:buffer";
import { assertEquals, assertMatch } from "@std/assert";
import { readServiceJwt } from "../../src/auth/service_jwt.ts";
import { FakeClock } from "../fake_clock.ts";
import { assertRefused } from "./assert_refused.ts";
import {
  encodePart,
  forgeToken,
  goodClaims,
  type Json,
  METHOD,
  plcDid,
  SERVICE_DID,
  SERVICE_ID,
} from "./service_jwt_maker.ts";

const clock = new FakeClock();
const now = clock.now() / 1000;
const claims = goodClaims(plcDid("alice"), clock);
const header = { typ: "JWT", alg: "ES256K" };

function read(token: string, allowLocalDids = false) {
  return readServiceJwt(token, {
    audiences: [SERVICE_DID, `${SERVICE_DID}#${SERVICE_ID}`],
    method: METHOD,
    now: clock.now(),
    maxLifetime: 300_000,
    allowLocalDids,
  });
}

/** Every change of a good token is refused with `name`. */
async function assertAllRefused(name: string, changes: Json[]) {
  for (const change of changes) {
    const what = `${name} for ${Deno.inspect(change)}`;
    await assertRefused(() => read(forgeToken({ ...claims, ...change })), name, what);
  }
}

function assertAllRead(changes: Json[]) {
  for (const change of changes) read(forgeToken({ ...claims, ...change }));
}

Deno.test("A3: only three parts of strict base64url and a signature of 86 characters are read", async () => {
  const good = forgeToken(claims);
  assertEquals(read(good), { iss: plcDid("alice"), exp: now + 60, nonce: String(claims.jti) });
  const [head, payload, signature] = good.split(".") as [string, string, string];
  const der = encodePart(new Uint8Array(71).fill(48));
  const bad = {
    "5 KB": forgeToken({ ...claims, padding: "a".repeat(4000) }),
    "no parts": "token",
    "two parts": `${head}.${payload}`,
    "four parts": `${good}.${signature}`,
    "an empty part": `.${payload}.${signature}`,
    "padding": `${head}==.${payload}.${signature}`,
    "a space": `${head} .${payload}.${signature}`,
    "the alphabet of base64": `${head}.${payload}.${"+/".repeat(43)}`,
    "junk that a lax decoder skips": `${head}.${payload}.!${signature}`,
    "bits after the end": `${head}.${payload}.${signature.slice(0, 85)}B`,
    "no signature": `${head}.${payload}.`,
    "63 bytes": `${head}.${payload}.${encodePart(new Uint8Array(63))}`,
    "65 bytes": `${head}.${payload}.${encodePart(new Uint8Array(65))}`,
    "DER": `${head}.${payload}.${der}`,
  };
  for (const [what, token] of Object.entries(bad)) {
    await assertRefused(() => read(token), "BadJwt", what);
  }
});

Deno.test("A4: header and payload are JSON objects in UTF-8, alg is ES256K or ES256, crit is refused", async () => {
  read(forgeToken(claims, { alg: "ES256" }));
  const json = JSON.stringify(claims);
  const badPayloads = {
    "not JSON": "{exp:1}",
    "cut off": json.slice(0, -1),
    "an array": [claims],
    "null": null,
    "a text": '"text"',
    "not UTF-8": Buffer.from(json.replace(/"jti":"./, '"jti":"\xff'), "latin1"),
    "a byte order mark": `\ufeff${json}`,
  };
  for (const [what, payload] of Object.entries(badPayloads)) {
    await assertRefused(() => read(forgeToken(payload)), "BadJwt", what);
  }
  const badHeaders = [
    "{",
    [],
    {},
    { alg: "none" },
    { alg: "HS256" },
    { alg: "es256" },
    { alg: ["ES256"] },
    { alg: "toString" },
    { ...header, crit: ["exp"] },
    { ...header, crit: null },
  ];
  for (const head of badHeaders) {
    await assertRefused(() => read(forgeToken(claims, head)), "BadJwt", Deno.inspect(head));
  }
});

Deno.test("A5: typ is JWT in any case, or absent", async () => {
  for (const typ of [undefined, "JWT", "jwt", "Jwt"]) read(forgeToken(claims, { ...header, typ }));
  for (const typ of ["at+jwt", "refresh+jwt", "dpop+jwt", "DPoP+jwt", "", null, 1, ["JWT"]]) {
    const token = forgeToken(claims, { ...header, typ });
    await assertRefused(() => read(token), "BadJwtType", `typ ${typ}`);
  }
});

Deno.test("A6: exp is a safe integer, as are a present iat and nbf, and a present jti is a string of 8 to 128", async () => {
  assertAllRead([{ jti: "a".repeat(8) }, { jti: "a".repeat(128) }, { nbf: now }]);
  assertAllRead([{ iat: undefined }, { jti: undefined }, { iat: undefined, jti: undefined }]);
  await assertAllRefused("BadJwt", [
    { exp: undefined },
    { exp: `${now + 60}` },
    { exp: now + 60.5 },
    { exp: 2 ** 53 },
    { exp: null },
    { iat: null },
    { iat: -(2 ** 53) },
    { iat: [now] },
    { nbf: null },
    { nbf: `${now}` },
    { nbf: 0.5 },
    { jti: null },
    { jti: "" },
    { jti: "a".repeat(7) },
    { jti: "a".repeat(129) },
    { jti: { toString: "12345678", length: 8 } },
    { jti: 12345678 },
  ]);
  const endless = JSON.stringify(claims).replace(/"exp":\d+/, '"exp":1e999');
  await assertRefused(() => read(forgeToken(endless)), "BadJwt", "an infinite exp");
});

Deno.test("A7: a token is refused with JwtExpired from the second of its exp on", async () => {
  assertAllRead([{ exp: now + 1 }]);
  await assertAllRefused("JwtExpired", [{ exp: now }, { exp: now - 1 }, { exp: 0 }, { exp: -1 }]);
  const late = () => read(forgeToken({ ...claims, exp: now - 61 }));
  const { message } = await assertRefused(late, "JwtExpired");
  assertMatch(message, /expired 61 s ago.*clock/);
});

Deno.test("A8: a token that is over 30 s ahead, or lives longer than the cap, is refused", async () => {
  assertAllRead([
    { iat: now + 30, nbf: now + 30 },
    { iat: now - 240, exp: now + 60 },
    { iat: now, exp: now + 300 },
    { iat: undefined, exp: now + 300 },
  ]);
  const early = () => read(forgeToken({ ...claims, iat: now + 90, exp: now + 150 }));
  const { message } = await assertRefused(early, "BadJwtLifetime");
  assertMatch(message, /90 s ahead.*clock/);
  const year = 365 * 24 * 60 * 60;
  await assertAllRefused("BadJwtLifetime", [
    { iat: now + 31 },
    { iat: now + 3600, exp: now + 3660 },
    { nbf: now + 31 },
    { iat: now, exp: now + 301 },
    { iat: now - 241, exp: now + 60 },
    { iat: now, exp: now + 10 * year },
    { iat: now, exp: Number.MAX_SAFE_INTEGER },
    { iat: now + 20, exp: now + 20 },
    { iat: now + 20, exp: now + 10 },
    { iat: undefined, exp: now + 301 },
    { iat: undefined, exp: Number.MAX_SAFE_INTEGER },
    { iat: undefined, nbf: now + 31 },
  ]);
});

Deno.test("A9: aud is our DID, bare or with our service id, and nothing else", async () => {
  assertAllRead([{ aud: SERVICE_DID }, { aud: `${SERVICE_DID}#${SERVICE_ID}` }]);
  await assertAllRefused("BadJwtAudience", [
    { aud: undefined },
    { aud: "" },
    { aud: "did:web:other.example.com" },
    { aud: `${SERVICE_DID}#other` },
    { aud: `${SERVICE_DID}#` },
    { aud: `${SERVICE_DID}#${SERVICE_ID}x` },
    { aud: SERVICE_DID.toUpperCase() },
    { aud: [SERVICE_DID] },
    { aud: { 0: SERVICE_DID } },
  ]);
});

Deno.test("A10: lxm is mandatory and exactly the method that is called", async () => {
  const bad = [undefined, null, "", "*", METHOD.toLowerCase(), `${METHOD}#x`, `${METHOD}s`, [
    METHOD,
  ]];
  await assertAllRefused("BadJwtLexiconMethod", bad.map((lxm) => ({ lxm })));
});

Deno.test("A11: iss is a did:plc or a did:web with a plain host name", async () => {
  assertAllRead([
    { iss: "did:plc:ewvi7nxzyoun6zhxrhs64oiz" },
    { iss: "did:web:example.com" },
    { iss: "did:web:a-b.c1.xn--p1ai" },
  ]);
  const bad: unknown[] = [
    undefined,
    null,
    "",
    ["did:web:example.com"],
    "alice.example.com",
    "did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme",
    "did:plc:ewvi7nxzyoun6zhxrhs64oiz#atproto_labeler",
    "did:plc:ewvi7nxzyoun6zhxrhs64oiz\n",
    "did:plc:ewvi7nxzyoun6zhxrhs64oi",
    "did:plc:ewvi7nxzyoun6zhxrhs64oizz",
    "did:plc:ewvi7nxzyoun6zhxrhs64oi1",
    "did:plc:EWVI7NXZYOUN6ZHXRHS64OIZ",
    "did:plc:../../../../../../../../",
    "DID:web:example.com",
    "did:web:example.com#atproto",
    "did:web:example.com:user:alice",
    "did:web:example.com/path",
    "did:web:example.com?query",
    "did:web:example.com%3A8080",
    "did:web:user%3Apw%40example.com",
    "did:web:example.com%2Fother%3F",
    "did:web:user@example.com",
    "did:web:Example.com",
    "did:web:example.com.",
    "did:web:.example.com",
    "did:web:example..com",
    "did:web:-a.example.com",
    "did:web:exa_mple.com",
    "did:web:exämple.com",
    "did:web:localhost",
    "did:web:localhost%3A8080",
    "did:web:com",
    "did:web:127.0.0.1",
    "did:web:2130706433",
    "did:web:0x7f.1",
    "did:web:0x7f.0x1",
    "did:web:0177.0.0.01",
    "did:web:[::1]",
    "did:web:%5B%3A%3A1%5D",
    "did:web:::1",
    `did:web:${"a".repeat(64)}.com`,
    `did:web:${"a.".repeat(126)}aaa`,
  ];
  await assertAllRefused("BadJwtIss", bad.map((iss) => ({ iss })));
});

Deno.test("A11: did:web:localhost may sign where local DIDs are allowed", async () => {
  const good = ["did:web:localhost", "did:web:localhost%3A2583"];
  for (const iss of good) read(forgeToken({ ...claims, iss }), true);
  const bad = [
    "localhost:2583",
    "localhost%3A0",
    "localhost%3A65536",
    "localhost%3A1%2Fx",
    "a.localhost%3A1",
  ];
  for (const host of bad) {
    const token = forgeToken({ ...claims, iss: `did:web:${host}` });
    await assertRefused(() => read(token, true), "BadJwtIss", host);
  }
});

Deno.test("A20: kid is #atproto, with or without the DID, or absent", async () => {
  for (const kid of ["#atproto", `${claims.iss}#atproto`]) {
    read(forgeToken(claims, { ...header, kid }));
  }
  const bad = ["", "atproto", "#atproto_labeler", `${plcDid("bob")}#atproto`, null, 0, [
    "#atproto",
  ]];
  for (const kid of bad) {
    const token = forgeToken(claims, { ...header, kid });
    await assertRefused(() => read(token), "BadJwt", `kid ${kid}`);
  }
});

Deno.test("A3-A11: no message quotes the token", async () => {
  const secret = "hunter2hunter2";
  const tokens = [
    forgeToken(secret),
    forgeToken(claims, { ...header, typ: secret }),
    forgeToken({ ...claims, aud: secret }),
    forgeToken({ ...claims, lxm: secret }),
    forgeToken({ ...claims, iss: secret }),
    `${secret}.${secret}.${secret}`,
  ];
  for (const token of tokens) {
    const refusal = await Promise.resolve().then(() => read(token)).catch((error) => error);
    assertEquals(refusal.message.includes(secret), false, refusal.message);
  }
});
