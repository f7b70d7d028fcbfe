import { getLogger } from "@logtape/logtape";
import { type IRequest, Router } from "itty-router";
import { Refusal } from "../refusal.ts";
import * as access from "./access.ts";
import { errorAnswer, json } from "./answers.ts";
import { addCors, preflight } from "./cors.ts";
import { blame, inTime } from "./deadline.ts";
import { didDocument } from "./did_document.ts";
import { live, ready } from "./health.ts";
import { home } from "./home.ts";
import { lexicons } from "./lexicons.ts";
import { metrics } from "./metrics.ts";
import { type Exchange, NOWHERE } from "./exchange.ts";
import type { NsidPrefix, Parts } from "./parts.ts";
import { addSecurity } from "./security.ts";
import { getTicket, token } from "./tickets.ts";
import { upgrade } from "./upgrade.ts";
import { type Method, procedure, query } from "./xrpc.ts";

const logger = getLogger(["tessera", "http"]);

type Handler = (exchange: Exchange, parts: Parts) => Response | Promise<Response>;

type Route = [method: "GET" | "POST", path: string, Handler];

/** Everything that this service answers, by method and path. */
function table({ face }: Parts): Route[] {
  const { nsidPrefix } = face;
  const ask = <Input>(name: string, method: Method<Input>): Route => [
    "GET",
    `/xrpc/${nsidPrefix}.${name}`,
    query(name, method),
  ];
  const change = <Input>(name: string, method: Method<Input>): Route => [
    "POST",
    `/xrpc/${nsidPrefix}.${name}`,
    procedure(name, method),
  ];
  const isReady: Handler = (_, { store, clock }) => ready(store, clock);
  return [
    ["GET", "/", (exchange) => home(exchange, face)],
    ["GET", "/.well-known/did.json", () => json(didDocument(face))],
    ["GET", "/lexicons", () => json({ lexicons: lexicons(nsidPrefix) })],
    ["GET", "/lexicons/:nsid", ({ url }) => lexicon(nsidPrefix, url)],
    ["GET", "/livez", live],
    ["GET", "/readyz", isReady],
    ["GET", "/health", isReady],
    ["GET", "/metrics", metrics],
    change("getTicket", getTicket),
    ask("token", token),
    ask("getRoom", access.getRoom),
    ask("listRooms", access.listRooms),
    ask("listEvents", access.listEvents),
    change("putMember", access.putMember),
    change("removeMember", access.removeMember),
    change("setVisibility", access.setVisibility),
    change("ban", access.ban),
    change("unban", access.unban),
    change("transferRoom", access.transferRoom),
    change("acceptTransfer", access.acceptTransfer),
    change("cancelTransfer", access.cancelTransfer),
    change("deleteRoom", access.deleteRoom),
    change("createInvite", access.createInvite),
    change("redeemInvite", access.redeemInvite),
    change("revokeInvite", access.revokeInvite),
    ["GET", "/sync/*", upgrade],
  ];
}

/** Answers requests. Whatever happens inside, this resolves with a response. */
export function createRoutes(parts: Parts): (exchange: Exchange) => Promise<Response> {
  const { corsOrigins, publicUrl } = parts.face;
  const router = Router<IRequest, [Exchange]>({
    catch: (error, _, exchange) => refuse(error, exchange, parts),
  });
  router.options("*", () => preflight());
  for (const [method, path, handler] of table(parts)) {
    const route = (_: IRequest, exchange: Exchange) => {
      if (parts.stopping && path !== "/livez") throw stopping();
      return handler(exchange, parts);
    };
    if (method === "GET") router.get(path, route).head(path, route);
    else router.post(path, route);
    router.all(path, (_, exchange) => methodNotAllowed(method, exchange, parts));
  }
  router.all("*", () => {
    throw new Refusal("NotFound", 404, "There is nothing at this address.");
  });

  const respond = async (exchange: Exchange): Promise<Response> => {
    const { request, url, address } = exchange;
    const leave = UNLIMITED.has(url.pathname) ? () => {} : parts.admission.enter(address);
    try {
      if (url === NOWHERE) throw malformed();
      if (!UNLIMITED.has(url.pathname)) parts.overload.check();
      const { method } = request;
      const route = () => router.fetch({ method, url: url.href } as IRequest, exchange);
      return await inTime(exchange, parts.clock, route);
    } finally {
      leave();
    }
  };
  return async (exchange) => {
    const { request } = exchange;
    const begun = parts.clock.uptime();
    const response = await respond(exchange).catch((error) => refuse(error, exchange, parts));
    parts.tally.answers.add(String(response.status));
    note(exchange, response.status, parts.clock.uptime() - begun);
    if (response.status === 101) return response;
    response.headers.set("x-request-id", exchange.id);
    addSecurity(response, publicUrl);
    return addCors(response, corsOrigins, request.headers.get("origin"));
  };
}

/** The longest path and method that is logged whole: that of a room with the longest name and DID, escaped. */
const LOGGED_PATH_LENGTH = 4_096;
const LOGGED_METHOD_LENGTH = 16;

/** One event for each request. The path alone: a query may hold a token. */
function note({ request, url, address, id, found }: Exchange, status: number, took: number): void {
  const method = request.method.slice(0, LOGGED_METHOD_LENGTH);
  const path = url.pathname.slice(0, LOGGED_PATH_LENGTH);
  const event = { method, path, status, took: Math.round(took), ...found, address, request: id };
  if (UNLIMITED.has(path)) logger.debug("{method} {path} {status}", event);
  else logger.info("{method} {path} {status} in {took} ms", event);
}

/** Who watches over the service does so from one address, and is not to be told otherwise. */
const UNLIMITED = new Set(["/livez", "/readyz", "/health", "/metrics"]);

function malformed(): Refusal {
  return new Refusal("InvalidRequest", 400, "The Host header or the request target is malformed.");
}

/** The answer to a request that fails, and a note of it. */
async function refuse(thrown: unknown, { found }: Exchange, parts: Parts): Promise<Response> {
  const { face, tally, store, clock } = parts;
  // What comes too late for the store is not the store's fault.
  const isOurs = parts.stopping && !(thrown instanceof Refusal);
  const error = isOurs ? stopping() : await blame(thrown, store, clock);
  found.error = error instanceof Refusal ? error.name : "InternalServerError";
  tally.errors.add(found.error);
  if (error instanceof Refusal && error.limit !== undefined) tally.limits.add(error.limit);
  return errorAnswer(error, face.serviceDid);
}

function lexicon(prefix: NsidPrefix, { pathname }: URL): Response {
  const nsid = pathname.slice("/lexicons/".length);
  const found = lexicons(prefix).find(({ id }) => id === nsid);
  if (found === undefined) throw new Refusal("NotFound", 404, "This is no method of ours.");
  return json(found);
}

/** Another instance, or this one a moment later, will take whoever comes back. */
function stopping(): Refusal {
  return new Refusal("ShuttingDown", 503, "The service is restarting.", { retryAfter: 1 });
}

async function methodNotAllowed(
  method: "GET" | "POST",
  exchange: Exchange,
  parts: Parts,
): Promise<Response> {
  const refusal = new Refusal("MethodNotAllowed", 405, `This address takes ${method} only.`);
  const response = await refuse(refusal, exchange, parts);
  response.headers.set("allow", method === "GET" ? "GET, HEAD" : method);
  return response;
}
