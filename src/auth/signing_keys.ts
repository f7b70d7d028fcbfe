import "../web/deno_2_5.ts";
import type { DidDocument } from "@atproto/identity";
import type { DidDocuments } from "../did/did_documents.ts";
import { Refusal } from "../refusal.ts";
import { BadDocument } from "../web/lookup_failure.ts";

/** The keys that accounts sign with, by DID. */
export class SigningKeys {
  constructor(private readonly documents: DidDocuments) {}

  /**
   * The `#atproto` key of `did`, as a `did:key`.
   *
   * @param refresh Whether to ask the directory even if the cache is fresh, because the cached key
   * refuted a signature. If it has no good answer, or was asked too often, the cached key stays: the
   * token is then refused by that key (401), and is not the reason for a 5xx.
   * @param address Whose call needs the key: look-ups are shared among addresses.
   * @throws {Refusal} DidNotFound or BadJwtIss 401, UpstreamFailure 502, UpstreamTimeout 504.
   */
  async get(did: string, refresh: boolean, address: string): Promise<string> {
    const document = await this.#document(did, refresh, address);
    if (document === null) throw notFound();
    const key = await atprotoKey(document);
    if (key) return key;
    if (!refresh) return await this.get(did, true, address);
    throw badIssuer("The DID document of the token's issuer has no usable #atproto key.");
  }

  async #document(did: string, refresh: boolean, address: string): Promise<DidDocument | null> {
    const { documents } = this;
    try {
      return await (refresh ? documents.newest(did, address) : documents.get(did, address));
    } catch (error) {
      // A 502 would make the client try again for ever.
      if (error instanceof BadDocument) throw badIssuer(error.message, error);
      throw error;
    }
  }
}

function notFound(): Refusal {
  return new Refusal("DidNotFound", 401, "The DID of the token's issuer does not exist.");
}

function badIssuer(message: string, cause?: unknown): Refusal {
  return new Refusal("BadJwtIss", 401, message, { cause });
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
