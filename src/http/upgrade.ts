import { type Grant, noTicket } from "../auth/tickets.ts";
import type { Place } from "../limits/occupancy.ts";
import { Refusal } from "../refusal.ts";
import { hasToken, membersOf } from "../transport/header_list.ts";
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
  checkHandshake(exchange);
  const target = readTarget(url.pathname);
  exchange.found.room = target.room;
  if (!originAllowed(parts.face.corsOrigins, request.headers.get("origin"))) {
    throw new Refusal("OriginNotAllowed", 403, "Pages of this origin may not open sockets here.");
  }
  const protocols = readProtocols(request.headers);
  const place = parts.connections.reserve(exchange.address, target.room);
  exchange.onOver = () => place.release();
  try {
    return await open(exchange, parts, target, protocols, place);
  } catch (error) {
    place.release();
    throw error;
  }
}

/** Finds out who comes, and lets them in. The place is released by the caller if this fails. */
async function open(
  exchange: Exchange,
  parts: Parts,
  target: Target,
  protocols: Protocols,
  place: Place,
): Promise<Response> {
  const { connections, rooms, rates } = parts;
  rooms.reserve(target.room, place);
  const { did, isAdmitted } = await whoOpens(exchange, parts, protocols.token, target, (did) => {
    rates.handshakesPerDid.spend(did);
    connections.reserveFor(did, place);
  });
  exchange.found.did = did;
  const role = await (isAdmitted ? readmit : admit)(
    parts.policy,
    did,
    target.room,
    exchange.address,
  );
  if (rooms.isDamaged(target.room)) {
    const words = "What is stored of this room is damaged; whoever runs the service has been told.";
    throw new Refusal("RoomDamaged", 503, words, { retryAfter: DAMAGE_RETRY });
  }
  if (exchange.isOver) throw noAnswer();
  const { socket, response } = exchange.upgrade!(protocols.answer);
  connections.admit(socket, place, {
    did,
    role,
    room: target.room,
    address: exchange.address,
    id: exchange.id,
  });
  return response;
}

/** 16 bytes in base64. */
const KEY = /^[A-Za-z0-9+/]{22}==$/;

/** https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1: found out before it costs a ticket. */
function checkHandshake({ request: { headers }, upgrade }: Exchange): void {
  const isUpgrade = hasToken(headers.get("upgrade"), "websocket") &&
    hasToken(headers.get("connection"), "upgrade") &&
    KEY.test(headers.get("sec-websocket-key") ?? "") &&
    headers.get("sec-websocket-version") === "13";
  if (!isUpgrade) throw new Refusal("UpgradeRequired", 400, "This address opens a WebSocket.");
  if (upgrade !== null) return;
  throw new Refusal("UpgradeRequired", 400, "A WebSocket is opened by a GET without a body.");
}

/** What the path names. */
interface Target {
  room: string;
  did: string | null;
}

/** The token that a client offers as a sub-protocol, and which one to answer. */
interface Protocols {
  token: string | null;
  answer?: string;
}

/** The room, and the DID when the path names one. Read from the raw path, since a room may hold `/` and `%`. */
function readTarget(pathname: string): Target {
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

function readProtocols(headers: Headers): Protocols {
  const offered = membersOf(headers.get("sec-websocket-protocol"));
  if (offered.length === 0) return { token: null };
  const [first, token = null, ...more] = offered;
  if (first === SUB_PROTOCOL && more.length === 0) return { token, answer: SUB_PROTOCOL };
  throw new Refusal(
    "InvalidRequest",
    400,
    `Offer the sub-protocols "${SUB_PROTOCOL}" and a ticket.`,
  );
}

/**
 * The DID that a token stands for, and whether it was admitted to the room when it got its ticket. What
 * speaks against a ticket is found before it is spent: it may fit elsewhere.
 * @param allow Throws if the DID may not open a socket now.
 */
async function whoOpens(
  { url, address }: Exchange,
  { authenticator, tickets, tally }: Parts,
  token: string | null,
  target: Target,
  allow: (did: string) => void,
): Promise<{ did: string; isAdmitted: boolean }> {
  const check = ({ did, room }: Pick<Grant, "did" | "room">) => {
    checkFits(did, room, target);
    allow(did);
  };
  const onlyTickets = authenticator.authenticateSocket === undefined;
  if (token === null && onlyTickets) throw noTicket(token);
  if (token !== null) {
    try {
      const { did, room } = await tickets.redeem(token, check);
      tally.ticketsRedeemed++;
      return { did, isAdmitted: room !== null };
    } catch (error) {
      const isNoTicket = error instanceof Refusal && error.name === "InvalidTicket";
      if (!isNoTicket || onlyTickets) throw error;
    }
  }
  const { did } = await authenticator.authenticateSocket!({
    token: token ?? (authenticator.tokenInUrl ? url.searchParams.get("token") : null),
    address,
    claimedDid: () => Promise.resolve(target.did ?? undefined),
  });
  check({ did, room: null });
  return { did, isAdmitted: false };
}

/** @throws {Refusal} Forbidden: the ticket is another DID's, or for another room */
function checkFits(did: string, room: string | null, target: Target): void {
  if (target.did !== null && target.did !== did) {
    throw new Refusal("Forbidden", 403, "The ticket is another DID's.");
  }
  if (room === null || room === target.room) return;
  const isSlash = target.room.replace(/\/+$/, "") === room;
  throw new Refusal(
    "Forbidden",
    403,
    isSlash
      ? "The ticket is for the room without the slash at the end of the address."
      : "The ticket is for another room.",
  );
}
