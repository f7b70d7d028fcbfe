import { randomBytes } from "node:crypto";
import type { Proxies } from "../limits/proxies.ts";
import type { IncomingRequest, Transport } from "../transport/transport.ts";

/** A request, and who sent it. */
export interface Exchange {
  request: IncomingRequest;
  /** Makes it a WebSocket, if it can become one. */
  upgrade: Transport["upgrade"];
  /** What is asked for; {@linkcode NOWHERE} if that cannot be read. */
  url: URL;
  /** The network address of the other side. */
  address: string;
  /** Stands for it in the log, and in the answer. */
  id: string;
  /** What is found out on the way, for the log. */
  found: { did?: string; room?: string; member?: string; role?: string; error?: string };
  /** It was answered already, since it took too long: no socket may be opened any more. */
  isOver: boolean;
  /** Called when that happens. */
  onOver(): void;
}

/** The URL of a request whose target or `Host` is malformed. Nothing is served there. */
export const NOWHERE: URL = new URL("malformed:");

/** `uri-host [ ":" port ]`: https://www.rfc-editor.org/rfc/rfc9110#section-7.2. An IPv6 address is left to `URL`. */
const HOST = /^(?:[\w.~!$&'()*+,;=%-]*|\[[\da-f:.]+\])(?::\d*)?$/i;

/** Reads a request. Never throws, so that a malformed request is counted and logged as any other. */
export function exchange(
  request: IncomingRequest,
  { address, upgrade }: Transport,
  proxies: Proxies,
): Exchange {
  return {
    request,
    upgrade,
    url: urlOf(request),
    address: proxies.addressOf(address, request.headers),
    id: randomBytes(9).toString("base64url"),
    found: {},
    isOver: false,
    onOver: () => {},
  };
}

function urlOf(request: IncomingRequest): URL {
  // Deno puts the header into the URL as it is, and `Host: a/b` would change the path.
  if (!HOST.test(request.headers.get("host") ?? "")) return NOWHERE;
  try {
    return new URL(request.url);
  } catch {
    return NOWHERE; // and for some targets the property itself throws
  }
}
