import type { CacheResult, DidCache, DidDocument } from "@atproto/identity";
import { getLogger } from "@logtape/logtape";
import type { Clock } from "../clock.ts";
import { tooLarge } from "../web/answer.ts";
import { DOCUMENT_BOUNDS } from "./document_bounds.ts";
import { levelOf } from "../store/errors.ts";

const logger = getLogger(["tessera", "did"]);

/** How long what we know of a DID is good. All in milliseconds, from the time of the look-up. */
export interface DidCacheTimes {
  /** A document is used as it is. A revoked key may pass for this long: 5 minutes. */
  fresh: number;
  /** A document is used, and looked up again behind the answer: 1 hour. */
  stale: number;
  /** A document is used if the directory can't be reached: 1 day, an outage one can sleep through. */
  max: number;
  /** An absence is believed: 1 minute, so that a DID that was just created soon works. */
  negative: number;
}

export const DEFAULT_DID_CACHE_TIMES: DidCacheTimes = {
  fresh: 5 * 60_000,
  stale: 60 * 60_000,
  max: 24 * 60 * 60_000,
  negative: 60_000,
};

interface Entry {
  /**
   * JSON in UTF-8; null for an absence. Bytes, because KV stores a text with one character outside
   * Latin-1 at two bytes each, and then 48 KB are over its limit.
   */
  json: Uint8Array | null;
  storedAt: number;
}

/**
 * DID documents, and the absence of some, in Deno KV: shared by all machines with the same store. It
 * can stand behind `@atproto/identity`'s own resolvers; ours is {@linkcode DidDocuments}.
 */
export class KvDidCache implements DidCache {
  #kv: Deno.Kv;
  #clock: Clock;
  #times: DidCacheTimes;

  constructor(kv: Deno.Kv, clock: Clock, times: DidCacheTimes) {
    this.#kv = kv;
    this.#clock = clock;
    this.#times = times;
  }

  /**
   * The document of `did`, if one is known; or that there is none, if that was found just now. A stale
   * document is to be used and looked up again behind the answer; an expired one is to be used only if
   * the directory can't be reached.
   */
  async recall(did: string): Promise<CacheResult | "absent" | null> {
    const { value: entry } = await this.#kv.get<Entry>(["did", did]);
    if (entry === null) return null;
    // KV deletes late, so the age is what counts.
    const age = this.#clock.now() - entry.storedAt;
    if (entry.json === null) return age < this.#times.negative ? "absent" : null;
    if (age >= this.#times.max) return null;
    return {
      did,
      doc: decode(entry.json),
      updatedAt: entry.storedAt,
      stale: age >= this.#times.fresh,
      expired: age >= this.#times.stale,
    };
  }

  /** The document of `did`, if one is known. */
  async checkCache(did: string): Promise<CacheResult | null> {
    const known = await this.recall(did);
    return known === "absent" ? null : known;
  }

  /** @throws {LookupFailure} when the document is over 48 KB. */
  async cacheDid(did: string, document: DidDocument): Promise<void> {
    await this.#set(did, encode(document), this.#times.max);
  }

  /** Forgets the document of `did`, and remembers that there is none. */
  async clearEntry(did: string): Promise<void> {
    await this.#set(did, null, this.#times.negative);
  }

  /** Gets the document anew, behind the answer: an outage must not fail a call whose entry is good. */
  refreshCache(did: string, getDocument: () => Promise<DidDocument | null>): Promise<void> {
    getDocument()
      .then((document) => document ? this.cacheDid(did, document) : this.clearEntry(did))
      .catch((error) => logger[levelOf(error)]("DID refresh failed: {did}", { did, error }));
    return Promise.resolve();
  }

  /** Forgets everything. */
  async clear(): Promise<void> {
    for await (const { key } of this.#kv.list({ prefix: ["did"] })) await this.#kv.delete(key);
  }

  async #set(did: string, json: Uint8Array | null, expireIn: number): Promise<void> {
    const entry: Entry = { json, storedAt: this.#clock.now() };
    await this.#kv.set(["did", did], entry, { expireIn });
  }
}

function encode(document: DidDocument): Uint8Array {
  const json = new TextEncoder().encode(JSON.stringify(document));
  if (json.length > DOCUMENT_BOUNDS.size) throw tooLarge(document.id, DOCUMENT_BOUNDS.size);
  return json;
}

function decode(json: Uint8Array): DidDocument {
  return JSON.parse(new TextDecoder().decode(json));
}
