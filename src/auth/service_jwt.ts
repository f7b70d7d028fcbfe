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
  /** The token's nonce: unique for this `iss`. */
  jti: string;
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
 * BadJwtLexiconMethod or BadJwtIss; the first that applies, in that order.
 */
export function readServiceJwt(token: string, expected: ExpectedToken): ServiceClaims {
  const { payload } = readJwtParts(token);
  const times = readTimes(payload);
  const jti = readNonce(payload);
  checkTimes(times, expected);
  checkAudience(payload.aud, expected.audiences);
  checkMethod(payload.lxm, expected.method);
  return { iss: readIssuer(payload.iss, expected.allowLocalDids), exp: times.exp, jti };
}

interface Times {
  exp: number;
  iat: number;
  nbf: number;
}

/** Safe integers only: `1e999` parses to Infinity, and then a token never ends. */
function readTimes({ exp, iat, nbf = iat }: Payload): Times {
  if (!Number.isSafeInteger(exp) || !Number.isSafeInteger(iat) || !Number.isSafeInteger(nbf)) {
    throw badJwt(
      'The token needs "exp" and "iat" as whole seconds, and "nbf" too where it has one.',
    );
  }
  return { exp, iat, nbf } as Times;
}

function readNonce({ jti }: Payload): string {
  if (typeof jti !== "string" || jti.length < JTI_LENGTH.min || jti.length > JTI_LENGTH.max) {
    throw badJwt('The token needs a "jti": a string of 8 to 128 characters, new for each token.');
  }
  return jti;
}

function checkTimes({ exp, iat, nbf }: Times, { now, maxLifetime }: ExpectedToken): void {
  if (now >= exp * 1000) {
    throw new Refusal("JwtExpired", 401, "The token has expired. Get a new one.");
  }
  if (Math.max(iat, nbf) * 1000 > now + CLOCK_LEEWAY) {
    throw badLifetime("The token is from the future. Is the clock of its issuer right?");
  }
  if (exp <= iat || (exp - iat) * 1000 > maxLifetime) {
    throw badLifetime(
      `The token's "exp" must be 1 to ${maxLifetime / 1000} seconds after its "iat".`,
    );
  }
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

function readIssuer(iss: unknown, allowLocalDids: boolean): string {
  if (typeof iss === "string" && isAccountDid(iss, allowLocalDids)) return iss;
  throw new Refusal(
    "BadJwtIss",
    401,
    'The token\'s "iss" must be the did:plc, or the did:web with a plain host name, of an account.',
  );
}
