import { Buffer } from "node:buffer";
import { type Keypair, verifySignature as reference } from "@atproto/crypto";
import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { verifySignature } from "../../src/auth/signature.ts";
import { makeKeypair } from "./service_jwt_maker.ts";

type Alg = "ES256K" | "ES256";

/** The number of points on each curve: https://www.secg.org/sec2-v2.pdf */
const ORDERS: Record<Alg, bigint> = {
  ES256K: 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n,
  ES256: 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n,
};

const KEYS = 4;
const MESSAGES = 8;

interface Signed {
  alg: Alg;
  keypair: Keypair;
  message: Uint8Array;
  signature: Uint8Array;
}

async function signAll(alg: Alg): Promise<Signed[]> {
  const keypairs = await Promise.all(Array.from({ length: KEYS }, () => makeKeypair(alg)));
  const all = keypairs.flatMap((keypair) =>
    Array.from({ length: MESSAGES }, async (_, i) => {
      const message = crypto.getRandomValues(new Uint8Array(i * 50));
      return { alg, keypair, message, signature: await keypair.sign(message) };
    })
  );
  return await Promise.all(all);
}

function toInteger(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).toString("hex")}`);
}

function compact(r: bigint, s: bigint): Uint8Array {
  const hex = (n: bigint) => BigInt.asUintN(256, n).toString(16).padStart(64, "0");
  return Buffer.from(hex(r) + hex(s), "hex");
}

function der(r: bigint, s: bigint): Uint8Array {
  const integer = (n: bigint) => {
    const hex = n.toString(16).padStart(64, "0");
    const bytes = Buffer.from(hex >= "8" ? `00${hex}` : hex, "hex");
    return Buffer.concat([Buffer.of(2, bytes.length), bytes]);
  };
  const body = Buffer.concat([integer(r), integer(s)]);
  return Buffer.concat([Buffer.of(0x30, body.length), body]);
}

/** What an attacker may make of a good signature. `at` is any number. */
const forgeries: Record<string, (signed: Signed, at: number) => Uint8Array> = {
  none: ({ signature }) => signature,
  "high s": ({ alg, signature }) => {
    const [r, s] = [toInteger(signature.subarray(0, 32)), toInteger(signature.subarray(32))];
    return compact(r, ORDERS[alg] - s);
  },
  "a flipped bit": ({ signature }, at) => {
    const bytes = new Uint8Array(signature);
    bytes[at % 64]! ^= 1 << (at % 8);
    return bytes;
  },
  "r out of range": ({ alg, signature }, at) =>
    compact(edge(alg, at), toInteger(signature.subarray(32))),
  "s out of range": ({ alg, signature }, at) =>
    compact(toInteger(signature.subarray(0, 32)), edge(alg, at)),
  "both out of range": ({ alg }, at) => compact(edge(alg, at), edge(alg, at >> 4)),
  short: ({ signature }, at) => signature.slice(0, at % 64),
  long: ({ signature }, at) => Buffer.concat([signature, new Uint8Array(1 + at % 64)]),
  DER: ({ signature }) =>
    der(toInteger(signature.subarray(0, 32)), toInteger(signature.subarray(32))),
};

/** The numbers at both ends of what `r` and `s` may be. */
function edge(alg: Alg, at: number): bigint {
  const n = ORDERS[alg];
  const edges = [0n, 1n, n / 2n, n / 2n + 1n, n - 1n, n, n + 1n, (1n << 256n) - 1n];
  return edges[at % edges.length]!;
}

async function strictReference(
  ...[key, message, signature, alg]: Parameters<typeof verifySignature>
) {
  try {
    return await reference(key, message, signature, { jwtAlg: alg });
  } catch {
    return false;
  }
}

Deno.test("A13: the native verifier agrees with the strict @atproto/crypto on hostile signatures", async () => {
  const signed = [...await signAll("ES256K"), ...await signAll("ES256")];
  const verdicts = { true: 0, false: 0 };
  const arbitraryCase = fc.record({
    of: fc.constantFrom(...signed),
    // Mostly its own key and message, or else no forgery would be put to the test.
    key: fc.oneof({ weight: 6, arbitrary: fc.constant(null) }, fc.constantFrom(...signed)),
    message: fc.oneof({ weight: 6, arbitrary: fc.constant(null) }, fc.constantFrom(...signed)),
    alg: fc.oneof(
      { weight: 6, arbitrary: fc.constant(null) },
      fc.constantFrom("ES256K", "ES256", "none"),
    ),
    forgery: fc.constantFrom(...Object.keys(forgeries)),
    at: fc.nat(),
  });
  const agrees = fc.asyncProperty(arbitraryCase, async ({ of, key, message, alg, forgery, at }) => {
    const call = [
      (key ?? of).keypair.did(),
      (message ?? of).message,
      forgeries[forgery]!(of, at),
      alg ?? of.alg,
    ] as const;
    const verdict = await verifySignature(...call);
    assertEquals(verdict, await strictReference(...call));
    verdicts[`${verdict}`]++;
  });
  // fast-check prints the seed and the smallest case on failure.
  await fc.assert(agrees, { numRuns: 4_000 });
  assertEquals(verdicts.true > 200 && verdicts.false > 2_000, true, Deno.inspect(verdicts));
});
