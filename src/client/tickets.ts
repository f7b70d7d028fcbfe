import { ProviderError, readAnswer } from "./failure.ts";

/** What `getTicket` answers: leave to open one socket, soon, once. */
export interface Ticket {
  /** What it is, in 43 letters. */
  ticket: string;
  /** Whom the service takes you for. */
  did: string;
  /** The room that it opens. */
  room: string;
  /** What you may do there. */
  role: Role;
  /** What to offer as `Sec-WebSocket-Protocol`. */
  protocols: string[];
}

/** What one may do in a room. */
export type Role = "owner" | "writer" | "reader";

/** Gets a ticket for a room. It is asked before each connection, since a ticket is good once. */
export type GetTicket = (request: TicketRequest) => Promise<Ticket>;

/** What a ticket is wanted for. */
export interface TicketRequest {
  /** The address of the service, without a slash at its end. */
  endpoint: string;
  /** The name of the room. */
  room: string;
  /** Aborted when the ticket is no longer wanted. */
  signal: AbortSignal;
}

/** Who can make calls in the user's name: an `Agent` of `@atproto/api`, or an OAuth session. */
export interface AgentLike {
  /** Makes a call to the user's PDS, at a path of it. */
  fetchHandler(path: string, init: AgentRequest): Promise<Response>;
}

/** What is asked of it: a part of what `fetch` takes. */
export interface AgentRequest {
  /** A query's, or a procedure's. */
  method: "GET" | "POST";
  /** What goes with it, beside what proves who calls. */
  headers?: Record<string, string>;
  /** JSON. */
  body?: string;
  /** Aborted when nobody waits for the answer any more. */
  signal: AbortSignal;
}

/** How the service calls itself, where its operator has changed that. */
export interface ServiceNames {
  /** Its DID. By default the did:web of the endpoint's host. */
  did?: string;
  /** Its entry in its DID document. By default `roomy_syncserver`. */
  id?: string;
  /** What the names of its methods begin with. By default `chat.roomy.v0.sync`. */
  nsidPrefix?: string;
}

/**
 * Asks the user's PDS for a service JWT (`com.atproto.server.getServiceAuth`), and calls the service
 * with it. An OAuth session needs the scope `rpc:<prefix>.getTicket?aud=<did>%23<id>`.
 */
export function serviceAuth(agent: AgentLike, names: ServiceNames = {}): GetTicket {
  return async ({ endpoint, room, signal }) => {
    const { service, method } = addressOf(endpoint, names);
    // With the entry's id, or no scope of OAuth would cover it.
    const query = new URLSearchParams({ aud: service, lxm: method });
    const path = `/xrpc/com.atproto.server.getServiceAuth?${query}`;
    const answer = await agent.fetchHandler(path, { method: "GET", signal });
    const { token } = await readAnswer<{ token: string }>(answer);
    return await ask(endpoint, method, token, { room }, signal);
  };
}

/**
 * Calls the service through the user's PDS, which proves who calls (`atproto-proxy`). An OAuth session
 * needs the same scope.
 */
export function viaProxy(agent: AgentLike, names: ServiceNames = {}): GetTicket {
  return async ({ endpoint, room, signal }) => {
    const { service, method } = addressOf(endpoint, names);
    const answer = await agent.fetchHandler(`/xrpc/${method}`, {
      method: "POST",
      headers: { "content-type": "application/json", "atproto-proxy": service },
      body: JSON.stringify({ room }),
      signal,
    });
    return await readAnswer(answer);
  };
}

/** For development: the token that the service was started with, and who one wants to be. */
export function devToken(token: string, did: string, names: ServiceNames = {}): GetTicket {
  return async ({ endpoint, room, signal }) => {
    const { method } = addressOf(endpoint, names);
    return await final401(ask(endpoint, method, token, { room, did }, signal));
  };
}

/**
 * For a service that is embedded with `sharedToken` (the secret), or with `verify` (a function that gets
 * the user's token: it is asked before each connection).
 */
export function withToken(
  token: string | (() => string | Promise<string>),
  names: ServiceNames = {},
): GetTicket {
  return async ({ endpoint, room, signal }) => {
    const { method } = addressOf(endpoint, names);
    if (typeof token !== "string") {
      return await ask(endpoint, method, await token(), { room }, signal);
    }
    return await final401(ask(endpoint, method, token, { room }, signal));
  };
}

/** For a service that is embedded with `open`: it takes everybody for the DID that they name, if any. */
export function withoutToken(did?: string, names: ServiceNames = {}): GetTicket {
  return async ({ endpoint, room, signal }) => {
    const { method } = addressOf(endpoint, names);
    return await ask(endpoint, method, null, { room, did }, signal);
  };
}

/** A token that never changes will not be accepted later either. */
async function final401(ticket: Promise<Ticket>): Promise<Ticket> {
  try {
    return await ticket;
  } catch (error) {
    if (!(error instanceof ProviderError) || error.status !== 401) throw error;
    const words = "The service does not accept this token.";
    throw new ProviderError(error.name, words, { status: 401, isFinal: true, cause: error });
  }
}

/** The service's entry in its DID document, and the name of the method. */
function addressOf(endpoint: string, names: ServiceNames) {
  const {
    did = `did:web:${encodeURIComponent(new URL(endpoint).host)}`,
    id = "roomy_syncserver",
    nsidPrefix = "chat.roomy.v0.sync",
  } = names;
  return { service: `${did}#${id}`, method: `${nsidPrefix}.getTicket` };
}

async function ask(
  endpoint: string,
  method: string,
  token: string | null,
  body: object,
  signal: AbortSignal,
): Promise<Ticket> {
  const answer = await fetch(`${endpoint}/xrpc/${method}`, {
    method: "POST",
    headers: {
      ...(token !== null && { authorization: `Bearer ${token}` }),
      "content-type": "application/json",
    },
    body: JSON.stringify(body),
    signal,
  });
  return await readAnswer(answer);
}
