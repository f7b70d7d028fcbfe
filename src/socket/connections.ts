import type { Clock } from "../clock.ts";
import type { Limits } from "../limits/limits.ts";
import { Inflow } from "../limits/inflow.ts";
import { Occupancy } from "../limits/occupancy.ts";
import { networkOf } from "../limits/rate_limit.ts";
import type { Tally } from "../observe/tally.ts";
import { Refusal } from "../refusal.ts";
import { Close } from "../sync/close.ts";
import type { Rooms } from "../sync/rooms.ts";
import { type Admission, Connection } from "./connection.ts";
import { RoleKeeper, type RoleSource } from "./role_keeper.ts";

/**
 * How often sessions that are over, and sockets that nobody uses, are looked for, in ms: a timer for
 * each would cost 1.4 KB a socket.
 */
const SWEEP = 5_000;

/** Close codes that are counted by themselves: clients may send any. */
const ours = new Set<number>([1000, 1001, 1005, 1006, ...Object.values(Close)]);

/** When to come back to where there is no place, in seconds. */
const PLACE_RETRY = 10;

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
  }

  /** @throws {Refusal} TooManyConnections: there is no place from this address, or in this room */
  checkPlace(address: string, room: string): void {
    const { limits } = this.#options;
    if (this.#open.size >= limits.connections) throw noPlace(503, "here", "connections");
    if (this.#perRoom.of(room) >= limits.connectionsPerRoom) {
      throw noPlace(503, "in this room", "connectionsPerRoom");
    }
    if (this.#perAddress.of(networkOf(address)) >= limits.connectionsPerAddress) {
      throw noPlace(429, "from your address", "connectionsPerAddress");
    }
  }

  /** @throws {Refusal} TooManyConnections: there is no place for this DID */
  checkPlaceOf(did: string): void {
    if (this.#perDid.of(did) < this.#options.limits.connectionsPerDid) return;
    throw noPlace(429, "of yours", "connectionsPerDid");
  }

  /** Takes a socket that is being upgraded, and seats it in its room once it is open. */
  admit(socket: WebSocket, admission: Admission): void {
    socket.binaryType = "arraybuffer";
    const { clock, limits, tally, roles: { policy } } = this.#options;
    const connection = new Connection(socket, admission, {
      provisional: policy.stateOf !== undefined,
      inflow: new Inflow(limits),
      clock,
      tally,
    });
    this.#enter(connection);
    this.#stopSweeping ??= this.#sweep();
    socket.onopen = () => {
      tally.opened++;
      const { did, room } = admission;
      const seat = this.#options.rooms.join(room, connection);
      const stopKeeping = this.#roles.keep(did, room, seat);
      connection.sit(seat);
      socket.onclose = ({ code }) => {
        tally.closed.add(ours.has(code) ? String(code) : "other");
        connection.note(code);
        connection.leave().then(stopKeeping);
        this.#forget(connection);
      };
    };
    // Until it opens; a failed upgrade fires an error first, which says no more than the close does.
    socket.onclose = () => this.#forget(connection);
    socket.onerror = () => {};
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

  /** Ends the sessions that have lasted long enough, and those that have not begun, now and then. */
  #sweep(): () => void {
    const { clock, maxSession, limits } = this.#options;
    return clock.after(Math.min(SWEEP, maxSession, limits.joinDeadline), () => {
      this.#stopSweeping = this.#sweep();
      this.#endSilent(clock.uptime() - limits.joinDeadline);
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

  #enter(connection: Connection): void {
    const { did, room, address } = connection;
    this.#open.set(connection, this.#options.clock.uptime());
    this.#silent.add(connection);
    this.#perDid.enter(did);
    this.#perRoom.enter(room);
    this.#perAddress.enter(networkOf(address));
  }

  #forget(connection: Connection): void {
    if (!this.#open.delete(connection)) return;
    const { did, room, address } = connection;
    this.#silent.delete(connection);
    this.#perDid.leave(did);
    this.#perRoom.leave(room);
    this.#perAddress.leave(networkOf(address));
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
