import "../web/deno_2_5.ts";
import type { Clock } from "../clock.ts";
import { DEFAULT_DID_CACHE_TIMES, type DidCacheTimes, KvDidCache } from "../did/did_cache.ts";
import { didDirectory } from "../did/did_directory.ts";
import { DidDocuments } from "../did/did_documents.ts";
import { DEFAULT_LIMITS, type Limits } from "../limits/limits.ts";
import { RateLimit } from "../limits/rate_limit.ts";
import type { Tally } from "../observe/tally.ts";
import { Refusal } from "../refusal.ts";
import type { Authenticator, Call, Identity } from "./authenticator.ts";
import { ReplayGuard } from "./replay_guard.ts";
import { readServiceJwt } from "./service_jwt.ts";
import { verifySignature } from "./signature.ts";
import { SigningKeys } from "./signing_keys.ts";

export interface AtprotoOptions {
  /** Holds DID documents and spent tokens. */
  kv: Deno.Kv;
  clock: Clock;
  /** Our own DID. */
  serviceDid: string;
  /** The id of our service in our DID document, without its `#`. */
  serviceId: string;
  /** The origin of the PLC directory. Default: https://plc.directory */
  plcUrl?: string;
  /** Lets accounts of `did:web:localhost` in, over plain HTTP. Development only. Default: false. */
  allowLocalDids?: boolean;
  /**
   * The longest life of a token (`exp - iat`) in milliseconds. Default: 5 minutes. A PDS grants 60 s
   * unless it is asked for more, and up to 1 hour; what is stolen is good for as long.
   */
  jwtMaxLifetime?: number;
  /** How long a DID document is good. Default: {@linkcode DEFAULT_DID_CACHE_TIMES}. */
  didCacheTimes?: DidCacheTimes;
  /**
   * Proven calls a minute of one DID, tokens that are verified at once, and look-ups of DIDs at once.
   * Default: {@linkcode DEFAULT_LIMITS}.
   */
  limits?: Partial<
    Pick<Limits, "callsPerDid" | "verifications" | "lookupsPerAddress" | "lookupsPerDomain">
  >;
}

/**
 * Proves callers by the service JWTs of ATProto
 * (https://atproto.com/specs/xrpc#inter-service-authentication-jwt). The checks run in a fixed order,
 * cheap ones first, and nothing is remembered of a token before its signature is proven.
 */
export function atproto(options: AtprotoOptions): Authenticator {
  return byDocuments(didDocuments(options), options);
}

/** DID documents, as the options want them. */
export function didDocuments(
  { kv, clock, didCacheTimes = DEFAULT_DID_CACHE_TIMES, ...options }: AtprotoOptions,
  tally?: Tally,
): DidDocuments {
  const { plcUrl = "https://plc.directory", allowLocalDids = false } = options;
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const cache = new KvDidCache(kv, clock, didCacheTimes);
  return new DidDocuments(cache, didDirectory({ plcUrl, allowLocalDids }), clock, {
    tally,
    limits,
  });
}

/** {@linkcode atproto} by documents that others use as well. */
export function byDocuments(documents: DidDocuments, options: AtprotoOptions): Authenticator {
  const { kv, clock, serviceDid, serviceId, allowLocalDids = false } = options;
  const { jwtMaxLifetime: maxLifetime = 5 * 60_000 } = options;
  const audiences = [serviceDid, `${serviceDid}#${serviceId}`];
  const { callsPerDid, verifications } = { ...DEFAULT_LIMITS, ...options.limits };
  const perDid = new RateLimit("callsPerDid", callsPerDid, clock);
  let verifying = 0;
  const replays = new ReplayGuard(kv, clock);
  const keys = new SigningKeys(documents);

  async function authenticate({ token, method, address }: Call): Promise<Identity> {
    if (!token) throw new Refusal("AuthMissing", 401, "The call needs a bearer token.");
    const now = clock.now();
    const claims = readServiceJwt(token, { audiences, method, now, maxLifetime, allowLocalDids });
    perDid.check(claims.iss);
    if (verifying >= verifications) throw tooBusy();
    verifying++;
    try {
      await proveSignature(token, keys, address);
      await replays.spend(claims);
    } finally {
      verifying--;
    }
    // Counted last: what is not proven to come from a DID must not use up its calls.
    perDid.spend(claims.iss);
    return { did: claims.iss };
  }

  return { authenticate, warm, isGone: (did) => documents.isGone(did) };
}

/** @throws {Refusal} BadJwtSignature, 401; or what {@linkcode SigningKeys.get} throws. */
async function proveSignature(token: string, keys: SigningKeys, address: string): Promise<void> {
  const { AuthRequiredError, verifyJwt } = await import("@atproto/xrpc-server");
  const getKey = (iss: string, refresh: boolean) => keys.get(iss, refresh, address);
  try {
    // Audience and method are checked, and more strictly: null skips them.
    await verifyJwt(token, null, null, getKey, verifySignature);
  } catch (error) {
    if (!(error instanceof AuthRequiredError)) throw error;
    const name = error.customErrorName ?? "BadJwt";
    const isForged = name === "BadJwtSignature";
    const message = isForged ? "The token is not signed by its issuer." : "The token is not valid.";
    throw new Refusal(name, 401, message, { cause: error });
  }
}

function tooBusy(): Refusal {
  return new Refusal("TooBusy", 503, "Too many callers prove who they are just now.", {
    retryAfter: 1,
    limit: "verifications",
  });
}

/** Half a second and 70 MB: after the start, or with the first call. */
async function warm(): Promise<void> {
  await Promise.all([
    import("@atproto/xrpc-server"),
    import("@atproto/identity"),
    import("@atproto/crypto"),
    import("tldts"),
  ]);
}
