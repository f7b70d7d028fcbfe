import type { CacheResult, DidDocument } from "@atproto/identity";
import { getLogger } from "@logtape/logtape";
import type { Clock } from "../clock.ts";
import { DEFAULT_LIMITS, type Limits } from "../limits/limits.ts";
import { networkOf } from "../limits/rate_limit.ts";
import { Tally } from "../observe/tally.ts";
import { traced } from "../observe/trace.ts";
import { Coalescer } from "../web/coalesce.ts";
import { LookupFailure, notAsked } from "../web/lookup_failure.ts";
import { LookupShares, registrableDomain } from "../web/lookup_shares.ts";
import { type Allowance, RequestBudget } from "../web/request_budget.ts";
import type { KvDidCache } from "./did_cache.ts";
import type { DidDirectory } from "./did_directory.ts";

const logger = getLogger(["tessera", "did"]);

/**
 * A first look-up of a DID, one for a rotated key, one for a second thought. Then so seldom that a
 * flood of bad tokens is two requests a minute for the directory, and a rotated key is known soon.
 */
const ALLOWANCE: Allowance = { interval: 30_000, burst: 3 };

/** Look-ups at once. At 300 ms each this is 1,700 new callers a second. */
const MAX_LOOKUPS = 500;

/** Those that are left for DIDs that have called before. */
const RESERVED_FOR_KNOWN = 100;

const WEB = "did:web:";

export interface DidDocumentsOptions {
  tally?: Tally;
  limits?: Pick<Limits, "lookupsPerAddress" | "lookupsPerDomain">;
}

/**
 * DID documents: from the cache while they are good, else from the directory, which is asked as rarely
 * as can be.
 */
export class DidDocuments {
  #cache: KvDidCache;
  #directory: DidDirectory;
  #budget: RequestBudget;
  readonly #tally: Tally;
  readonly #running = new Coalescer<DidDocument | null>();
  /** For each DID method: hosts of a stranger's choice must not crowd out the directory. */
  readonly #shares: { plc: LookupShares; web: LookupShares };

  constructor(
    cache: KvDidCache,
    directory: DidDirectory,
    clock: Clock,
    { tally = new Tally(), limits = DEFAULT_LIMITS }: DidDocumentsOptions = {},
  ) {
    this.#cache = cache;
    this.#directory = directory;
    this.#budget = new RequestBudget(clock, ALLOWANCE);
    const bounds = {
      all: MAX_LOOKUPS,
      reservedForKnown: RESERVED_FOR_KNOWN,
      perNetwork: limits.lookupsPerAddress,
      perDomain: limits.lookupsPerDomain,
    };
    this.#shares = { plc: new LookupShares(bounds), web: new LookupShares(bounds) };
    this.#tally = tally;
  }

  /**
   * The document of `did`; null when there is no such DID (any more).
   * @param address Whose call needs it, if it is a call: look-ups are shared among addresses.
   * @throws {LookupFailure}
   */
  async get(did: string, address?: string): Promise<DidDocument | null> {
    const known = await this.#cache.recall(did);
    this.#tally.documents.add(nameOf(known));
    if (known === "absent") return null;
    if (known === null) return await this.#lookUp(did, false, address);
    if (known.expired) {
      return await this.#lookUp(did, true, address).catch((error) => {
        if (error instanceof LookupFailure && error.unreachable) return known.doc;
        throw error;
      });
    }
    if (known.stale) {
      // Logged where it fails; the next call tries again.
      this.#lookUp(did, true, address).catch(() => {});
    }
    return known.doc;
  }

  /**
   * The document from the directory, or else the last one that we know.
   * @param address As for {@linkcode get}.
   * @throws {LookupFailure}
   */
  async newest(did: string, address?: string): Promise<DidDocument | null> {
    const known = await this.#cache.checkCache(did);
    try {
      return await this.#lookUp(did, known !== null, address);
    } catch (error) {
      if (!(error instanceof LookupFailure) || known === null) throw error;
      return known.doc;
    }
  }

  /**
   * Whether the directory says that there is no such DID (any more). One that cannot be reached says
   * nothing, and a document that is fresh in the cache is not asked for again.
   */
  async isGone(did: string): Promise<boolean> {
    const known = await this.#cache.recall(did);
    if (known === "absent") return true;
    if (known !== null && !known.stale && !known.expired) return false;
    try {
      return await this.#lookUp(did, known !== null) === null;
    } catch (error) {
      if (error instanceof LookupFailure) return false;
      throw error;
    }
  }

  /** Asks the directory, at most once at a time for one DID, and within its budget and the caller's share. */
  async #lookUp(did: string, isKnown: boolean, address?: string): Promise<DidDocument | null> {
    const domain = did.startsWith(WEB) ? await registrableDomain(did.slice(WEB.length)) : null;
    const running = this.#running.running(did);
    if (running) return await running;
    const wait = this.#budget.wait(did);
    if (wait > 0) throw notAsked(`The directory of ${did}`, Math.ceil(wait / 1000));
    const shares = domain === null ? this.#shares.plc : this.#shares.web;
    const network = address === undefined ? null : networkOf(address);
    const leave = shares.take({ domain, network, isKnown });
    if (leave === null) throw notAsked(domain ?? "The directory", 1);
    this.#budget.take(did);
    return await this.#running.start(did, () => this.#ask(did).finally(leave));
  }

  async #ask(did: string): Promise<DidDocument | null> {
    try {
      const document = await traced(
        "look up DID",
        { "tessera.did": did },
        () => this.#directory.lookUp(did),
      );
      await (document ? this.#cache.cacheDid(did, document) : this.#cache.clearEntry(did));
      return document;
    } catch (error) {
      logger.warn("DID look-up failed: {did}", { did, error });
      throw error;
    }
  }
}

/** How good what the cache has is. */
function nameOf(known: CacheResult | "absent" | null): string {
  if (known === null || known === "absent") return known ?? "unknown";
  if (known.expired) return "expired";
  return known.stale ? "stale" : "fresh";
}
