import "../web/deno_2_5.ts";
import type { DidDocument, DidPlcResolver, DidWebResolver, Fetch } from "@atproto/identity";
import { boundedFetch } from "../web/bounded_fetch.ts";
import { LookupFailure, unusable } from "../web/lookup_failure.ts";
import { readDidDocument } from "./did_document.ts";
import { DOCUMENT_BOUNDS } from "./document_bounds.ts";
import { webFetch } from "./did_web.ts";

/** Where DID documents come from. */
export interface DidDirectory {
  /**
   * Looks a DID document up, in its directory or at its host.
   *
   * @returns The document, or null when there is no such DID (any more).
   * @throws {LookupFailure} 502 or 504 when neither is certain.
   */
  lookUp(did: string): Promise<DidDocument | null>;
}

export interface DidDirectoryOptions {
  /** The origin of the PLC directory. */
  plcUrl: string;
  /** Whether `did:web:localhost` is looked up, over plain HTTP: development only. */
  allowLocalDids: boolean;
  /** Milliseconds for one look-up. */
  timeout?: number;
}

const ordinaryFetch: Fetch = boundedFetch(DOCUMENT_BOUNDS);

type Resolver = DidPlcResolver | DidWebResolver;

/** The directory of https://atproto.com/specs/did: did:plc and did:web, by `@atproto/identity`. */
export function didDirectory(options: DidDirectoryOptions): DidDirectory {
  const { plcUrl, allowLocalDids, timeout = DOCUMENT_BOUNDS.time } = options;
  const web = allowLocalDids ? orLocal(webFetch()) : webFetch();
  const plcHost = new URL(plcUrl).host;
  let resolvers: { plc: Resolver; web: Resolver } | undefined;

  async function load() {
    // Lazy: it costs a cold start a quarter of a second.
    const { DidPlcResolver, DidWebResolver } = await import("@atproto/identity");
    return {
      plc: new DidPlcResolver(plcUrl, timeout, undefined, ordinaryFetch),
      web: new DidWebResolver(timeout, undefined, web),
    };
  }

  return {
    async lookUp(did) {
      resolvers ??= await load();
      const resolver = did.startsWith("did:web:") ? resolvers.web : resolvers.plc;
      const host = did.startsWith("did:web:") ? did.slice("did:web:".length) : plcHost;
      const value = await resolver.resolveNoCheck(did).catch((error) => {
        throw error instanceof LookupFailure ? error : unusable(host, "it is not JSON", error);
      });
      return value === null ? null : readDidDocument(did, value, host);
    },
  };
}

/** Lets `did:web:localhost` by, which upstream asks for over plain HTTP. */
function orLocal(fetch: Fetch): Fetch {
  return (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input);
    const isLocal = url.protocol === "http:" && url.hostname === "localhost";
    return isLocal ? ordinaryFetch(input, init) : fetch(input, init);
  };
}
