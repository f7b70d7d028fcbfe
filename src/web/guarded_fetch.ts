import type { IncomingMessage } from "node:http";
import { get } from "node:https";
import { connect } from "node:tls";
import { type Bounds, failureOf, readAnswer } from "./answer.ts";
import type { BoundedFetch } from "./bounded_fetch.ts";
import { isHostName } from "./host_name.ts";
import { timedOut, unusable } from "./lookup_failure.ts";
import { guardedLookup, isPublicAddress, type Resolve } from "./public_address.ts";
import { resolveHost } from "./resolve.ts";

/** The parts of the outside world that a test replaces. */
export interface WebInternals {
  resolve: Resolve;
  isAllowed: (address: string) => boolean;
  port: number;
  /** The one authority to trust, in PEM; undefined for the usual ones. */
  ca: string | undefined;
}

const outside: WebInternals = {
  resolve: (hostname) => resolveHost(hostname),
  isAllowed: isPublicAddress,
  port: 443,
  ca: undefined,
};

/**
 * A fetch for URLs that strangers make us ask for: a GET of `https://host.name/...` from the public
 * Internet. It is node:https because Deno's own fetch offers no say in which address it connects to.
 */
export function guardedFetch(
  { size, time }: Bounds,
  internals: WebInternals = outside,
): BoundedFetch {
  return async (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input);
    if (!isPlain(url)) throw unusable(url.host, "its address must be https and a plain host name");
    const signal = init?.signal ?? AbortSignal.timeout(time);
    const headers = Object.fromEntries(new Headers(init?.headers as HeadersInit | undefined));
    return await getPublic(url, headers, signal, size, internals);
  };
}

/** Compared as a whole, so that no port, user or fragment gets by unseen. */
function isPlain({ href, hostname, pathname, search }: URL): boolean {
  return isHostName(hostname) && href === `https://${hostname}${pathname}${search}`;
}

function getPublic(
  { hostname, pathname, search }: URL,
  headers: Record<string, string>,
  signal: AbortSignal,
  size: number,
  { port, ca, resolve, isAllowed }: WebInternals,
): Promise<Response> {
  const answer = Promise.withResolvers<Response>();
  const request = get({
    host: hostname,
    path: pathname + search,
    port,
    // A connection of its own: a pooled one would go round the lookup. (Deno 2.5 knows no other way.)
    createConnection: () =>
      connect({
        host: hostname,
        servername: hostname,
        port,
        ca,
        lookup: guardedLookup(resolve, isAllowed),
        // Said, because an environment variable could turn it off for the process.
        rejectUnauthorized: true,
      }),
    headers: { ...headers, "accept-encoding": "identity" },
  });
  const fail = (error: unknown) => answer.reject(failureOf(hostname, error, signal));
  const onAbort = () => fail(timedOut(hostname));
  signal.addEventListener("abort", onAbort);
  request.on("error", fail);
  // A host may send any number of 1xx answers before the real one, and each costs memory.
  request.on("information", () => fail(unusable(hostname, "it begins with an interim response")));
  request.on("response", (response) => {
    readResponse(hostname, response, size).then(answer.resolve, fail);
  });
  return answer.promise.finally(() => {
    signal.removeEventListener("abort", onAbort);
    // Hang up: what was not read by now never will be.
    request.destroy();
  });
}

function readResponse(host: string, response: IncomingMessage, size: number): Promise<Response> {
  const encoding = response.headers["content-encoding"] ?? "identity";
  // We asked for none, and 48 KB of gzip can hold 48 MB.
  if (encoding !== "identity") return Promise.reject(unusable(host, "it is compressed unasked"));
  return readAnswer(host, response.statusCode ?? 0, response, size);
}
