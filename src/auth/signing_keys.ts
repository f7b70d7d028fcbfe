import type { DidDocument } from "@atproto/identity";
import { getLogger } from "@logtape/logtape";
import type { Clock } from "../clock.ts";
import { Refusal } from "../refusal.ts";
import { Coalescer } from "./coalesce.ts";
import type { KvDidCache } from "./did_cache.ts";
import type { DidDirectory } from "./did_directory.ts";
import { LookupBudget } from "./lookup_budget.ts";
import { LookupFailure, notAsked } from "./lookup_failure.ts";

const logger = getLogger(["tessera", "auth"]);

/**
 * Look-ups at once, for each DID method: slow hosts of a stranger's choice must not crowd out the
 * directory. At 300 ms each this is 1,700 new callers a second.
 */
const MAX_LOOKUPS = 500;

/**
 * The keys that accounts sign with, by DID: from the cache while it is good, else from the directory,
 * which it asks as rarely as it can.
 */
export class SigningKeys {
  #cache: KvDidCache;
  #directory: DidDirectory;
  #budget: LookupBudget;
  #plc = new Coalescer<DidDocument>(MAX_LOOKUPS);
  #web = new Coalescer<DidDocument>(MAX_LOOKUPS);

  constructor(cache: KvDidCache, directory: DidDirectory, clock: Clock) {
    this.#cache = cache;
    this.#directory = directory;
    this.#budget = new LookupBudget(clock);
  }

  /**
   * The `#atproto` key of `did`, as a `did:key`.
   *
   * @param refresh Whether to ask the directory even if the cache is fresh, because the cached key
   * refuted a signature. If it has no good answer, or was asked too often, the cached key stays: the
   * token is then refused by that key (401), and is not the reason for a 5xx.
   * @throws {Refusal} DidNotFound or BadJwtIss 401, UpstreamFailure 502, UpstreamTimeout 504.
   */
  async get(did: string, refresh: boolean): Promise<string> {
    const document = await (refresh ? this.#newest(did) : this.#document(did));
    const key = await atprotoKey(document);
    if (key) return key;
    if (!refresh) return await this.get(did, true);
    const message = "The DID document of the token's issuer has no usable #atproto key.";
    throw new Refusal("BadJwtIss", 401, message);
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
      await this.#lookUp(did);
      return false;
    } catch (error) {
      if (error instanceof LookupFailure) return false;
      if (error instanceof Refusal) return true;
      throw error;
    }
  }

  async #document(did: string): Promise<DidDocument> {
    const known = await this.#cache.recall(did);
    if (known === "absent") throw notFound();
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

  /** The document from the directory, or else the last one that we know. */
  async #newest(did: string): Promise<DidDocument> {
    try {
      return await this.#lookUp(did);
    } catch (error) {
      if (!(error instanceof LookupFailure)) throw error;
      const known = await this.#cache.checkCache(did);
      if (known === null) throw error;
      return known.doc;
    }
  }

  /** Asks the directory, at most once at a time for one DID, and within the budget. */
  async #lookUp(did: string): Promise<DidDocument> {
    const lookups = did.startsWith("did:web:") ? this.#web : this.#plc;
    const running = lookups.running(did);
    if (running) return await running;
    if (lookups.full) throw notAsked(1);
    const wait = this.#budget.take(did);
    if (wait > 0) throw notAsked(Math.ceil(wait / 1000));
    return await lookups.start(did, () => this.#ask(did));
  }

  async #ask(did: string): Promise<DidDocument> {
    const document = await this.#fetch(did).catch((error) => {
      logger.warn("DID look-up failed: {did}", { did, error });
      throw error;
    });
    if (!document) throw notFound();
    return document;
  }

  async #fetch(did: string): Promise<DidDocument | null> {
    const document = await this.#directory.lookUp(did);
    await (document ? this.#cache.cacheDid(did, document) : this.#cache.clearEntry(did));
    return document;
  }
}

function notFound(): Refusal {
  return new Refusal("DidNotFound", 401, "The DID of the token's issuer does not exist.");
}

async function atprotoKey(document: DidDocument): Promise<string | undefined> {
  const { getKey } = await import("@atproto/identity");
  try {
    return getKey(document);
  } catch {
    // It throws on a key that is no key.
    return undefined;
  }
}
