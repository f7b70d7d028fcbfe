import type { CacheResult, DidDocument } from "@atproto/identity";
import { getLogger } from "@logtape/logtape";
import type { Clock } from "../clock.ts";
import { Tally } from "../observe/tally.ts";
import { traced } from "../observe/trace.ts";
import { Coalescer } from "../web/coalesce.ts";
import { LookupFailure, notAsked } from "../web/lookup_failure.ts";
import { type Allowance, RequestBudget } from "../web/request_budget.ts";
import type { KvDidCache } from "./did_cache.ts";
import type { DidDirectory } from "./did_directory.ts";

const logger = getLogger(["tessera", "did"]);

/**
 * Look-ups at once, for each DID method: slow hosts of a stranger's choice must not crowd out the
 * directory. At 300 ms each this is 1,700 new callers a second.
 */
const MAX_LOOKUPS = 500;

/**
 * A first look-up of a DID, one for a rotated key, one for a second thought. Then so seldom that a
 * flood of bad tokens is two requests a minute for the directory, and a rotated key is known soon.
 */
const ALLOWANCE: Allowance = { interval: 30_000, burst: 3 };

/**
 * DID documents: from the cache while they are good, else from the directory, which is asked as rarely
 * as can be.
 */
export class DidDocuments {
  #cache: KvDidCache;
  #directory: DidDirectory;
  #budget: RequestBudget;
  #plc = new Coalescer<DidDocument | null>(MAX_LOOKUPS);
  #web = new Coalescer<DidDocument | null>(MAX_LOOKUPS);

  constructor(
    cache: KvDidCache,
    directory: DidDirectory,
    clock: Clock,
    private readonly tally: Tally = new Tally(),
  ) {
    this.#cache = cache;
    this.#directory = directory;
    this.#budget = new RequestBudget(clock, ALLOWANCE);
  }

  /** The document of `did`; null when there is no such DID (any more). @throws {LookupFailure} */
  async get(did: string): Promise<DidDocument | null> {
    const known = await this.#cache.recall(did);
    this.tally.documents.add(nameOf(known));
    if (known === "absent") return null;
    if (known === null) return await this.#lookUp(did);
    if (known.expired) {
      return await this.#lookUp(did).catch((error) => {
        if (error instanceof LookupFailure && error.unreachable) return known.doc;
        throw error;
      });
    }
    if (known.stale) {
      this.#lookUp(did).catch(() => {/* Logged where it failed; the next call tries again. */});
    }
    return known.doc;
  }

  /** The document from the directory, or else the last one that we know. @throws {LookupFailure} */
  async newest(did: string): Promise<DidDocument | null> {
    try {
      return await this.#lookUp(did);
    } catch (error) {
      if (!(error instanceof LookupFailure)) throw error;
      const known = await this.#cache.checkCache(did);
      if (known === null) throw error;
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
      return await this.#lookUp(did) === null;
    } catch (error) {
      if (error instanceof LookupFailure) return false;
      throw error;
    }
  }

  /** Asks the directory, at most once at a time for one DID, and within the budget. */
  async #lookUp(did: string): Promise<DidDocument | null> {
    const lookups = did.startsWith("did:web:") ? this.#web : this.#plc;
    const running = lookups.running(did);
    if (running) return await running;
    if (lookups.full) throw notAsked("The directory", 1);
    const wait = this.#budget.take(did);
    if (wait > 0) throw notAsked(`The directory of ${did}`, Math.ceil(wait / 1000));
    return await lookups.start(did, () => this.#ask(did));
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
