import { Buffer } from "node:buffer";
import { type Keypair, P256Keypair, Secp256k1Keypair } from "@atproto/crypto";
import type { Clock } from "../../src/clock.ts";

export const SERVICE_DID = "did:web:sync.example.com";
export const SERVICE_ID = "tessera_sync";
export const METHOD = "com.example.sync.getTicket";

/** An account: its DID and the key that it signs with. */
export interface Account {
  did: string;
  keypair: Keypair;
}

export type Json = Record<string, unknown>;

/** A did:plc that is made from a name. */
export function plcDid(name: string): string {
  return `did:plc:${name.padEnd(24, "2")}`;
}

/** An account with a new key on the curve of `alg`. */
export async function makeAccount(did: string, alg: "ES256K" | "ES256" = "ES256K") {
  return { did, keypair: await makeKeypair(alg) } satisfies Account;
}

/** A new key on the curve of `alg`. */
export function makeKeypair(alg: "ES256K" | "ES256"): Promise<Keypair> {
  return alg === "ES256K" ? Secp256k1Keypair.create() : P256Keypair.create();
}

/** The DID document of an account, as small as it may be. */
export function documentOf({ did, keypair }: Account) {
  return {
    id: did,
    verificationMethod: [{
      id: `${did}#atproto`,
      type: "Multikey",
      controller: did,
      publicKeyMultibase: keypair.did().slice("did:key:".length),
    }],
  };
}

/** The claims of a good token, as a PDS makes it, with a new nonce each time. */
export function goodClaims(iss: string, clock: Clock): Json {
  const iat = Math.floor(clock.now() / 1000);
  const jti = crypto.randomUUID();
  return { iat, exp: iat + 60, iss, aud: SERVICE_DID, lxm: METHOD, jti };
}

/** base64url of bytes, of a text as it is, or of anything else as JSON. */
export function encodePart(part: unknown): string {
  if (part instanceof Uint8Array) return Buffer.from(part).toString("base64url");
  const text = typeof part === "string" ? part : JSON.stringify(part);
  return Buffer.from(text).toString("base64url");
}

/** A token of any content, well signed. Texts go in as they are: `{"exp":1e999}` is no JSON.stringify. */
export async function signToken(keypair: Keypair, payload: unknown, header?: unknown) {
  const head = header ?? { typ: "JWT", alg: keypair.jwtAlg };
  const message = `${encodePart(head)}.${encodePart(payload)}`;
  return `${message}.${encodePart(await keypair.sign(Buffer.from(message)))}`;
}

/** A token of any content whose signature has the right form and is wrong. */
export function forgeToken(payload: unknown, header: unknown = { typ: "JWT", alg: "ES256K" }) {
  return [header, payload, new Uint8Array(64).fill(1)].map(encodePart).join(".");
}

/** A good token of `account`. `changes` replace claims; undefined removes one. */
export function goodToken({ did, keypair }: Account, clock: Clock, changes: Json = {}) {
  return signToken(keypair, { ...goodClaims(did, clock), ...changes });
}
