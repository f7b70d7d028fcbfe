import { isAccountDid } from "../did/account_did.ts";
import { Refusal } from "../refusal.ts";

import { badJwt, readJwtParts } from "./jwt_parts.ts";

/** What a service JWT must say to be meant for this call. */
export interface ExpectedToken {
  /** The values of `aud` that mean us: our DID, and our DID with our service id. */
  audiences: readonly string[];
  /** The NSID of the method that is called. */
  method: string;
  /** The time, in milliseconds since the Unix epoch. */
  now: number;
  /** The longest `exp - iat` to accept, in milliseconds. */
  maxLifetime: number;
  /** Whether `did:web:localhost` may sign: development only. */
  allowLocalDids: boolean;
}

/** What a token claims, in good form. Proven only once its signature is. */
export interface ServiceClaims {
  /** The caller's DID. `sub` is never read: it is not part of a service JWT. */
  iss: string;
  /** The end of the token's life, in seconds since the Unix epoch. */
  exp: number;
  /** What tells the token from every other of this `iss`: its `jti`, or without one all that is signed. */
  nonce: string;
}

/**
 * How far a PDS's clock may run ahead of ours, in milliseconds. Machines with NTP are within a
 * second; 30 s forgives the ones without, and is half of the 60 s that a PDS grants by default.
 */
export const CLOCK_LEEWAY = 30_000;

/** Long enough that a random nonce does not collide, short enough to be one. */
const JTI_LENGTH = { min: 8, max: 128 };

type Payload = Record<string, unknown>;

/**
 * Reads a service JWT (https://atproto.com/specs/xrpc#inter-service-authentication-jwt) and checks all
 * that costs no look-up, in a fixed order. The signature is the caller's to check.
 *
 * @throws {Refusal} 401: BadJwt, BadJwtType, JwtExpired, BadJwtLifetime, BadJwtAudience,
 * BadJwtLexiconMethod or BadJwtIss, the first that applies, in that order; then BadJwt for a `kid`.
 */
export function readServiceJwt(token: string, expected: ExpectedToken): ServiceClaims {
  const { header, payload } = readJwtParts(token);
  const times = readTimes(payload);
  const nonce = readNonce(payload, token);
  checkTimes(times, expected);
  checkAudience(payload.aud, expected.audiences);
  checkMethod(payload.lxm, expected.method);
  const iss = readIssuer(payload.iss, expected.allowLocalDids);
  checkKeyId(header.kid, iss);
  return { iss, exp: times.exp, nonce };
}

interface Times {
  exp: number;
  iat?: number;
  nbf?: number;
}

/** Safe integers only: `1e999` parses to Infinity, and then a token never ends. */
function readTimes({ exp, iat, nbf }: Payload): Times {
  const isTime = Number.isSafeInteger;
  if (!isTime(exp) || (iat !== undefined && !isTime(iat)) || (nbf !== undefined && !isTime(nbf))) {
    throw badJwt(
      'The token needs "exp" as whole seconds, and "iat" and "nbf" too where it has them.',
    );
  }
  return { exp, iat, nbf } as Times;
}

/**
 * Some PDSs set no `jti`. What is signed tells tokens apart as well: unlike a signature it has one
 * spelling, and it is longer than any `jti`, so that the two never meet.
 */
function readNonce({ jti }: Payload, token: string): string {
  if (jti === undefined) return token.slice(0, token.lastIndexOf("."));
  if (typeof jti !== "string" || jti.length < JTI_LENGTH.min || jti.length > JTI_LENGTH.max) {
    throw badJwt('The token\'s "jti" must be a string of 8 to 128 characters, new for each token.');
  }
  return jti;
}

/** `exp` has no leeway: behind a slow clock a token is only shorter, and a stolen one is never longer. */
function checkTimes({ exp, iat, nbf }: Times, { now, maxLifetime }: ExpectedToken): void {
  const age = now - exp * 1000;
  if (age >= 0) {
    throw new Refusal(
      "JwtExpired",
      401,
      `The token expired ${seconds(age)} ago. If it is new, the clock of its issuer may be wrong.`,
    );
  }
  const start = Math.max(iat ?? -Infinity, nbf ?? -Infinity);
  if (start * 1000 > now + CLOCK_LEEWAY) {
    const ahead = seconds(start * 1000 - now);
    throw badLifetime(
      `The token's "iat" or "nbf" is ${ahead} ahead. The clock of its issuer may be wrong.`,
    );
  }
  const lifetime = exp * 1000 - (iat === undefined ? now : iat * 1000);
  if (lifetime <= 0 || lifetime > maxLifetime) {
    const from = iat === undefined ? "from now" : 'after its "iat"';
    throw badLifetime(`The token's "exp" must be 1 to ${maxLifetime / 1000} seconds ${from}.`);
  }
}

function seconds(ms: number): string {
  return `${Math.max(1, Math.floor(ms / 1000))} s`;
}

function badLifetime(message: string): Refusal {
  return new Refusal("BadJwtLifetime", 401, message);
}

function checkAudience(aud: unknown, audiences: readonly string[]): void {
  if (typeof aud === "string" && audiences.includes(aud)) return;
  throw new Refusal(
    "BadJwtAudience",
    401,
    `The token is for another service. Its "aud" must be ${audiences.join(" or ")}.`,
  );
}

/** Mandatory here: a token without `lxm` would open every method, so a thief's every door. */
function checkMethod(lxm: unknown, method: string): void {
  if (lxm === method) return;
  throw new Refusal(
    "BadJwtLexiconMethod",
    401,
    `The token is for another method. Its "lxm" must be ${method}.`,
  );
}

/** Other keys of a DID document sign for labelers and feed generators. */
function checkKeyId(kid: unknown, iss: string): void {
  if (kid === undefined || kid === "#atproto" || kid === `${iss}#atproto`) return;
  throw badJwt('The token\'s "kid" must be #atproto, or absent.');
}

function readIssuer(iss: unknown, allowLocalDids: boolean): string {
  if (typeof iss === "string" && isAccountDid(iss, allowLocalDids)) return iss;
  throw new Refusal(
    "BadJwtIss",
    401,
    'The token\'s "iss" must be the did:plc, or the did:web with a plain host name, of an account.',
  );
}
