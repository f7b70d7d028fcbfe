import type { Clock } from "../clock.ts";
import type { Limits } from "../limits/limits.ts";
import { Inflow } from "../limits/inflow.ts";
import { Occupancy, Place } from "../limits/occupancy.ts";
import { networkOf } from "../limits/rate_limit.ts";
import { Turns } from "../limits/turns.ts";
import type { Tally } from "../observe/tally.ts";
import { Refusal } from "../refusal.ts";
import { Close } from "../sync/close.ts";
import type { Rooms } from "../sync/rooms.ts";
import type { Socket } from "../transport/socket.ts";
import { type Admission, Connection } from "./connection.ts";
import { RoleKeeper, type RoleSource } from "./role_keeper.ts";

/**
 * How often sessions that are over, and sockets that nobody uses, are looked for, in ms: a timer for
 * each would cost 1.4 KB a socket.
 */
const SWEEP = 5_000;

/** When to come back to where there is no place, in seconds. */
const PLACE_RETRY = 10;

/** What a connection has to cost for its end to be a relief: a room lets each peer have 1 MiB to take. */
const EXPENSIVE_BYTES = 1024 * 1024;

/** The only key of the places in all. */
const ALL = "";

/** What connections depend on. */
export interface ConnectionsOptions {
  rooms: Rooms;
  roles: RoleSource;
  clock: Clock;
  limits: Limits;
  tally: Tally;
  /** How long a socket may stay open, in ms. */
  maxSession: number;
}

/** All open sockets, each one peer of one room. */
export class Connections {
  /** When each was opened; the oldest first. */
  readonly #open = new Map<Connection, number>();
  readonly #options: ConnectionsOptions;
  readonly #roles: RoleKeeper;
  readonly #largeMessages: Turns;
  readonly #all = new Occupancy();
  readonly #perAddress = new Occupancy();
  readonly #perDid = new Occupancy();
  readonly #perRoom = new Occupancy();
  /** Those that had said nothing when they were last looked at. */
  #silent = new Set<Connection>();
  #stopSweeping: (() => void) | null = null;
  #onEmpty: (() => void) | null = null;

  constructor(options: ConnectionsOptions) {
    this.#options = options;
    this.#roles = new RoleKeeper(options.roles, options.clock);
    this.#largeMessages = new Turns(options.limits.largeMessagesPerDid);
  }

  /**
   * Reserves a place for a socket that is still to open: work that follows may take time, in which others
   * come. It is released when the socket ends, and whoever finds that it will not open must release it.
   * @throws {Refusal} TooManyConnections: there is no place from this address, or in this room
   */
  reserve(address: string, room: string): Place {
    const { limits } = this.#options;
    const network = networkOf(address);
    if (this.#all.of(ALL) >= limits.connections) throw noPlace(503, "here", "connections");
    if (this.#perRoom.of(room) >= limits.connectionsPerRoom) {
      throw noPlace(503, "in this room", "connectionsPerRoom");
    }
    if (this.#perAddress.of(network) >= limits.connectionsPerAddress) {
      throw noPlace(429, "from your address", "connectionsPerAddress");
    }
    const place = new Place();
    place.hold(this.#all, ALL);
    place.hold(this.#perRoom, room);
    place.hold(this.#perAddress, network);
    return place;
  }

  /** Reserves one of the DID's places as well. @throws {Refusal} TooManyConnections */
  reserveFor(did: string, place: Place): void {
    if (this.#perDid.of(did) >= this.#options.limits.connectionsPerDid) {
      throw noPlace(429, "of yours", "connectionsPerDid");
    }
    place.hold(this.#perDid, did);
  }

  /** Takes a socket that is being upgraded, and seats it in its room once it is open. */
  admit(socket: Socket, place: Place, admission: Admission): void {
    const { clock, limits, tally, roles: { policy } } = this.#options;
    let stopKeeping = () => {};
    const connection = new Connection(socket, admission, {
      provisional: policy.stateOf !== undefined,
      inflow: new Inflow(limits),
      largeMessages: this.#largeMessages,
      clock,
      tally,
      onOpen: (connection) => {
        const { did, room } = connection;
        const seat = this.#options.rooms.join(room, connection);
        stopKeeping = this.#roles.keep(did, room, seat);
        return seat;
      },
      onClose: (connection, left) => {
        left.then(stopKeeping);
        this.#forget(connection);
        place.release();
      },
    });
    this.#open.set(connection, clock.uptime());
    this.#silent.add(connection);
    this.#stopSweeping ??= this.#sweep();
    socket.start(connection);
  }

  /**
   * Ends the connection that holds the most memory, if that is more than any slow peer needs. Returns the
   * number of bytes, or 0.
   */
  endMostExpensive(): number {
    let most: { connection?: Connection; cost: number } = { cost: EXPENSIVE_BYTES };
    for (const connection of this.#open.keys()) {
      if (connection.cost > most.cost) most = { connection, cost: connection.cost };
    }
    if (most.connection === undefined) return 0;
    most.connection.expelNow(Close.TRY_AGAIN, "the service is short of memory");
    return most.cost;
  }

  /** How many sockets are open. */
  get size(): number {
    return this.#open.size;
  }

  /** Resolves once no socket is open any more, or after `patience` ms. */
  async allClosed(patience: number): Promise<void> {
    if (this.#open.size === 0) return;
    await new Promise<void>((resolve) => {
      const cancel = this.#options.clock.after(patience, resolve);
      this.#onEmpty = () => {
        cancel();
        resolve();
      };
    });
  }

  /** Ends the sessions that have lasted long enough, have not begun, or do not get on, now and then. */
  #sweep(): () => void {
    const { clock, maxSession, limits } = this.#options;
    return clock.after(Math.min(SWEEP, maxSession, limits.joinDeadline), () => {
      this.#stopSweeping = this.#sweep();
      this.#endSilent(clock.uptime() - limits.joinDeadline);
      for (const connection of this.#open.keys()) connection.checkProgress(limits.pingTimeout);
      const last = clock.uptime() - maxSession;
      for (const [connection, openedAt] of this.#open) {
        if (openedAt > last) return;
        connection.expel(Close.SESSION_OVER, "the session is over: come back with a new ticket");
      }
    });
  }

  #endSilent(last: number): void {
    for (const connection of this.#silent) {
      if (connection.hasSpoken) this.#silent.delete(connection);
      else if (this.#open.get(connection)! <= last) {
        this.#silent.delete(connection);
        this.#options.tally.limits.add("joinDeadline");
        connection.expel(Close.IDLE, "you have said nothing since you came");
      }
    }
  }

  #forget(connection: Connection): void {
    if (!this.#open.delete(connection)) return;
    this.#silent.delete(connection);
    if (this.#open.size > 0) return;
    this.#stopSweeping?.();
    this.#stopSweeping = null;
    this.#onEmpty?.();
  }
}

function noPlace(status: 429 | 503, where: string, limit: keyof Limits): Refusal {
  const words = `Too many sockets are open ${where}. Come back later.`;
  return new Refusal("TooManyConnections", status, words, { retryAfter: PLACE_RETRY, limit });
}
