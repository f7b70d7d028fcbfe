import { lookup } from "node:dns/promises";
import type { IncomingMessage } from "node:http";
import { get } from "node:https";
import type { Fetch } from "@atproto/identity";
import { LOOKUP_TIMEOUT, readAnswer } from "./bounded_fetch.ts";
import { isHostName } from "./issuer.ts";
import { LookupFailure, timedOut, unreachable, unusable } from "./lookup_failure.ts";
import { guardedLookup, isPublicAddress, type Resolve } from "./public_address.ts";

/** The parts of the outside world that a test replaces. */
export interface WebInternals {
  resolve: Resolve;
  isAllowed: (address: string) => boolean;
  port: number;
  /** The one authority to trust, in PEM; undefined for the usual ones. */
  ca: string | undefined;
}

const outside: WebInternals = {
  resolve: (hostname) => lookup(hostname, { all: true }),
  isAllowed: isPublicAddress,
  port: 443,
  ca: undefined,
};

/** Where `did:web` keeps the document of a host: https://w3c-ccg.github.io/did-method-web/ */
const DOCUMENT_PATH = "/.well-known/did.json";

/**
 * A fetch for the one kind of request that a stranger's `did:web` can make us send: a GET of
 * `https://host.name/.well-known/did.json` from the public Internet. It is node:https because Deno's
 * own fetch offers no say in which address it connects to.
 *
 * It rejects with a {@linkcode LookupFailure}.
 */
export function webFetch(internals: WebInternals = outside): Fetch {
  return async (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input);
    if (!isDocumentUrl(url)) throw unusable("did:web must be a plain host name");
    return await getDocument(url, init?.signal ?? AbortSignal.timeout(LOOKUP_TIMEOUT), internals);
  };
}

/** Compared as a whole, so that no port, user, path, query or fragment gets by unseen. */
function isDocumentUrl(url: URL): boolean {
  return isHostName(url.hostname) && url.href === `https://${url.hostname}${DOCUMENT_PATH}`;
}

function getDocument(url: URL, signal: AbortSignal, internals: WebInternals): Promise<Response> {
  const { promise, resolve, reject } = Promise.withResolvers<Response>();
  const request = get({
    host: url.hostname,
    path: DOCUMENT_PATH,
    port: internals.port,
    ca: internals.ca,
    lookup: guardedLookup(internals.resolve, internals.isAllowed),
    // Said, because an environment variable could turn it off for the process.
    rejectUnauthorized: true,
    // A connection of its own: a pooled one would go round the lookup.
    agent: false,
    headers: { accept: "application/did+ld+json,application/json", "accept-encoding": "identity" },
  });
  const fail = (error: unknown) => {
    reject(error instanceof LookupFailure ? error : unreachable(error));
  };
  const onAbort = () => fail(timedOut());
  signal.addEventListener("abort", onAbort);
  request.on("error", fail);
  // A host may send any number of 1xx answers before the real one, and each costs memory.
  request.on("information", () => fail(unusable("its host sent an interim response")));
  request.on("response", (response) => readResponse(response).then(resolve, fail));
  return promise.finally(() => {
    signal.removeEventListener("abort", onAbort);
    // Hang up: what was not read by now never will be.
    request.destroy();
  });
}

function readResponse(response: IncomingMessage): Promise<Response> {
  const encoding = response.headers["content-encoding"] ?? "identity";
  // We asked for none, and 48 KB of gzip can hold 48 MB.
  if (encoding !== "identity") return Promise.reject(unusable("its host compressed it unasked"));
  return readAnswer(response.statusCode ?? 0, response);
}
