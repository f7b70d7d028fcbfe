import { unusable } from "../web/lookup_failure.ts";
import type { BoundedFetch } from "../web/bounded_fetch.ts";
import { guardedFetch, type WebInternals } from "../web/guarded_fetch.ts";
import { DOCUMENT_BOUNDS } from "./document_bounds.ts";

/** Where `did:web` keeps the document of a host: https://w3c-ccg.github.io/did-method-web/ */
const DOCUMENT_PATH = "/.well-known/did.json";

const HEADERS = { accept: "application/did+ld+json,application/json" };

/** A fetch for the one URL that a stranger's `did:web` stands for: `https://host.name/.well-known/did.json`. */
export function webFetch(internals?: WebInternals): BoundedFetch {
  const fetch = guardedFetch(DOCUMENT_BOUNDS, internals);
  return async (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input);
    if (url.pathname + url.search !== DOCUMENT_PATH) {
      throw unusable(url.host, "did:web must be a plain host name");
    }
    return await fetch(url, { ...init, headers: HEADERS });
  };
}
