import type { RoomAdmin } from "../access/room_admin.ts";
import type { AccessPolicy } from "../access/policy.ts";
import type { Authenticator } from "../auth/authenticator.ts";
import type { Tickets } from "../auth/tickets.ts";
import type { Clock } from "../clock.ts";
import type { Connections } from "../socket/connections.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { Tally } from "../observe/tally.ts";
import type { Overload } from "../limits/overload.ts";
import type { RateLimit } from "../limits/rate_limit.ts";
import type { RoomStore } from "../store/room_store.ts";
import type { Rooms } from "../sync/rooms.ts";
import type { Admission } from "./admission.ts";

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
  /** Refuses new work when there is too much. */
  overload: Overload;
  /** The number of requests that are answered. */
  admission: Admission;
  /** How often one may ask. */
  rates: { handshakesPerDid: RateLimit };
}
