import type { RoomAdmin } from "../access/room_admin.ts";
import type { AccessPolicy } from "../access/policy.ts";
import type { Authenticator } from "../auth/authenticator.ts";
import type { Tickets } from "../auth/tickets.ts";
import type { Clock } from "../clock.ts";
import type { Connections } from "../socket/connections.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { Tally } from "../observe/tally.ts";
import type { RateLimit } from "../limits/rate_limit.ts";
import type { RoomStore } from "../store/room_store.ts";
import type { Rooms } from "../sync/rooms.ts";

/** What stands before the name in an NSID: https://atproto.com/specs/nsid. */
export type NsidPrefix = `${string}.${string}`;

/** Who this service is, to those who call it. */
export interface Face {
  /** The origin that clients see, without a slash at its end. */
  publicUrl: string;
  /** Our DID: the `aud` of service JWTs. */
  serviceDid: string;
  /** The fragment of our entry in our DID document, without `#`. */
  serviceId: string;
  /** The namespace of our XRPC methods. */
  nsidPrefix: NsidPrefix;
  /** Allowed origins; `*` for all. */
  corsOrigins: "*" | string[];
}

/** What the routes work with. */
export interface Parts {
  face: Face;
  authenticator: Authenticator;
  tickets: Tickets;
  policy: AccessPolicy;
  /** What owners do with their rooms, where rooms have owners. */
  admin: RoomAdmin | null;
  rooms: Rooms;
  connections: Connections;
  store: RoomStore;
  clock: Clock;
  /** The service takes nothing new any more. */
  stopping: boolean;
  tally: Tally;
  metrics: () => Promise<Metrics>;
  /** Who may see the metrics; null for nobody. */
  metricsToken: string | null;
  /** How many requests are answered at once. */
  maxRequests: number;
  /** A socket that answers no ping for so long is gone, in ms. */
  pingTimeout: number;
  /** How often one may ask. */
  rates: { perAddress: RateLimit; handshakesPerDid: RateLimit };
}

/** A request, and who sent it. */
export interface Exchange {
  request: Request;
  url: URL;
  /** The network address of the other side. */
  address: string;
  /** Stands for it in the log, and in the answer. */
  id: string;
  /** What is found out on the way, for the log. */
  found: { did?: string; room?: string; error?: string };
  /** It was answered already, since it took too long: no socket may be opened any more. */
  isOver: boolean;
}
