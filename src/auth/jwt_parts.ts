import { Buffer } from "node:buffer";
import { Refusal } from "../refusal.ts";

/** A JWT's header and payload, parsed but not yet believed. */
export interface JwtParts {
  header: Record<string, unknown>;
  payload: Record<string, unknown>;
}

/** A PDS's token has some 370 characters. More than 4 KB is no service token, and not worth parsing. */
const MAX_TOKEN_LENGTH = 4096;

/** 64 bytes in base64url: the only size an ES256 or ES256K signature has. DER would be longer. */
const SIGNATURE_LENGTH = 86;

/** The two curves of https://atproto.com/specs/cryptography. */
const ALGORITHMS: readonly unknown[] = ["ES256K", "ES256"];

// `ignoreBOM` keeps a byte order mark in the text, where JSON.parse refuses it.
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Takes a compact JWS (https://www.rfc-editor.org/rfc/rfc7515#section-3.1) apart. Stricter than most
 * parsers, so that a token has one spelling only.
 *
 * @throws {Refusal} BadJwt or BadJwtType, 401.
 */
export function readJwtParts(token: string): JwtParts {
  if (token.length > MAX_TOKEN_LENGTH) throw badJwt("The token is longer than 4 KB.");
  const parts = token.split(".");
  if (parts.length !== 3) throw badJwt("The token does not have the three parts of a JWT.");
  const [header, payload] = parts.map(decodePart) as [Buffer, Buffer];
  if (parts[2]!.length !== SIGNATURE_LENGTH) {
    throw badJwt("The token's signature must be 64 bytes in base64url.");
  }
  const read = { header: parseObject(header), payload: parseObject(payload) };
  checkHeader(read.header);
  return read;
}

/** The refusal of a token whose form is wrong. */
export function badJwt(message: string): Refusal {
  return new Refusal("BadJwt", 401, message);
}

/** Strict base64url: Node skips what it does not know, so only text that survives a round trip is good. */
function decodePart(part: string): Buffer {
  const bytes = Buffer.from(part, "base64url");
  if (bytes.toString("base64url") !== part) {
    throw badJwt("A part of the token is not base64url without padding.");
  }
  return bytes;
}

function parseObject(bytes: Uint8Array): Record<string, unknown> {
  const value = parseJson(bytes);
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw badJwt("The token's header and payload must be JSON objects.");
  }
  return value as Record<string, unknown>;
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(utf8.decode(bytes));
  } catch {
    // The parser's own words would quote the token.
    throw badJwt("A part of the token is not JSON in UTF-8.");
  }
}

function checkHeader(header: Record<string, unknown>): void {
  if (!ALGORITHMS.includes(header.alg)) {
    throw badJwt('The token\'s "alg" must be ES256K or ES256.');
  }
  // RFC 7515, 4.1.11: whoever does not understand every extension in `crit` must refuse.
  if (Object.hasOwn(header, "crit")) throw badJwt('The token must not have a "crit" header.');
  if (!isJwtType(header.typ)) {
    throw new Refusal("BadJwtType", 401, 'The token\'s "typ" must be JWT, or absent.');
  }
}

/** Access tokens, refresh tokens and DPoP proofs are JWTs of other types, signed with the same keys. */
function isJwtType(typ: unknown): boolean {
  return typ === undefined || (typeof typ === "string" && typ.toUpperCase() === "JWT");
}
