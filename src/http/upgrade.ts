import { type Grant, noTicket } from "../auth/tickets.ts";
import { Refusal } from "../refusal.ts";
import { originAllowed } from "./cors.ts";
import { noAnswer } from "./deadline.ts";
import type { Exchange } from "./exchange.ts";
import type { Parts } from "./parts.ts";
import { admit, checkRoomName, readmit } from "./tickets.ts";

/** The sub-protocol that announces a ticket, and the one that is answered. */
const SUB_PROTOCOL = "authorization";

/** When to come back to a damaged room, in seconds: a repair is noticed within a minute. */
const DAMAGE_RETRY = 60;

/**
 * Opens a socket: `/sync/<room>` or `/sync/as/<did>/<room>`, with the ticket in
 * `Sec-WebSocket-Protocol: authorization, <ticket>`. Whoever is refused is refused before the
 * upgrade: to accept and close at once sends y-websocket into a hot loop.
 */
export async function upgrade(exchange: Exchange, parts: Parts): Promise<Response> {
  const { request, url } = exchange;
  checkHandshake(request);
  const target = readTarget(url.pathname);
  exchange.found.room = target.room;
  if (!originAllowed(parts.face.corsOrigins, request.headers.get("origin"))) {
    throw new Refusal("OriginNotAllowed", 403, "Pages of this origin may not open sockets here.");
  }
  const protocols = readProtocols(request);
  parts.connections.checkPlace(exchange.address, target.room);
  parts.rooms.checkPlace(target.room);
  const { did, room } = await whoOpens(exchange, parts, protocols.token, target.did);
  exchange.found.did = did;
  if (target.did !== null && target.did !== did) {
    throw new Refusal("Forbidden", 403, "The ticket is another DID's.");
  }
  if (room !== null && room !== target.room) {
    throw new Refusal("Forbidden", 403, "The ticket is for another room.");
  }
  parts.rates.handshakesPerDid.spend(did);
  const role = await (room === null ? admit : readmit)(parts.policy, did, target.room);
  if (parts.rooms.isDamaged(target.room)) {
    const words = "What is stored of this room is damaged; whoever runs the service has been told.";
    throw new Refusal("RoomDamaged", 503, words, { retryAfter: DAMAGE_RETRY });
  }
  parts.connections.checkPlaceOf(did);
  if (exchange.isOver) throw noAnswer();
  const { socket, response } = Deno.upgradeWebSocket(request, {
    protocol: protocols.answer,
    idleTimeout: parts.pingTimeout / 1_000,
  });
  parts.connections.admit(socket, {
    did,
    role,
    room: target.room,
    address: exchange.address,
    id: exchange.id,
  });
  return response;
}

/** https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1: found out before it costs a ticket. */
function checkHandshake({ headers }: Request): void {
  const isUpgrade = headers.get("upgrade")?.toLowerCase() === "websocket" &&
    /(^|[,\s])upgrade([,\s]|$)/i.test(headers.get("connection") ?? "") &&
    headers.has("sec-websocket-key") &&
    headers.get("sec-websocket-version") === "13";
  if (!isUpgrade) throw new Refusal("UpgradeRequired", 400, "This address opens a WebSocket.");
}

/** The room, and the DID when the path names one. Read from the raw path, since a room may hold `/` and `%`. */
function readTarget(pathname: string): { room: string; did: string | null } {
  const rest = pathname.slice("/sync/".length);
  const as = /^as\/([^/]*)\/?(.*)$/s.exec(rest);
  const room = decode(as ? as[2]! : rest);
  checkRoomName(room);
  return { room, did: as ? readDid(as[1]!) : null };
}

/** A DID in a path may be encoded or not, and a did:web with a port holds a `%` of its own. */
function readDid(segment: string): string {
  return segment.startsWith("did:") ? segment : decode(segment);
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new Refusal("InvalidRoom", 400, "The path is not percent-encoded UTF-8.");
  }
}

/** What the client offers as sub-protocols, and which of it to answer. */
function readProtocols({ headers }: Request): { token: string | null; answer?: string } {
  const offered = headers.get("sec-websocket-protocol");
  if (offered === null) return { token: null };
  const [first, token = null, ...more] = offered.split(",").map((value) => value.trim());
  if (first === SUB_PROTOCOL && more.length === 0) return { token, answer: SUB_PROTOCOL };
  throw new Refusal(
    "InvalidRequest",
    400,
    `Offer the sub-protocols "${SUB_PROTOCOL}" and a ticket.`,
  );
}

async function whoOpens(
  { url, address }: Exchange,
  { authenticator, tickets, tally }: Parts,
  token: string | null,
  claimedDid: string | null,
): Promise<Pick<Grant, "did" | "room">> {
  const onlyTickets = authenticator.authenticateSocket === undefined;
  if (token === null && onlyTickets) throw noTicket(token);
  if (token !== null) {
    try {
      const grant = await tickets.redeem(token);
      tally.ticketsRedeemed++;
      return grant;
    } catch (error) {
      if (!(error instanceof Refusal) || onlyTickets) throw error;
    }
  }
  const identity = await authenticator.authenticateSocket!({
    token: token ?? (authenticator.tokenInUrl ? url.searchParams.get("token") : null),
    address,
    claimedDid: () => Promise.resolve(claimedDid ?? undefined),
  });
  return { did: identity.did, room: null };
}
