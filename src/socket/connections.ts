import type { Clock } from "../clock.ts";
import { Close } from "../sync/close.ts";
import type { Rooms } from "../sync/rooms.ts";
import { type Admission, Connection } from "./connection.ts";
import { RoleKeeper, type RoleSource } from "./role_keeper.ts";

/** How often sessions that are over are looked for, in ms: a timer for each would cost 1.4 KB a socket. */
const SWEEP = 60_000;

/** What connections depend on. */
export interface ConnectionsOptions {
  rooms: Rooms;
  roles: RoleSource;
  clock: Clock;
  /** How long a socket may stay open, in ms. */
  maxSession: number;
}

/** All open sockets, each one peer of one room. */
export class Connections {
  /** When each was opened; the oldest first. */
  readonly #open = new Map<Connection, number>();
  readonly #options: ConnectionsOptions;
  readonly #roles: RoleKeeper;
  #stopSweeping: (() => void) | null = null;
  #onEmpty: (() => void) | null = null;

  constructor(options: ConnectionsOptions) {
    this.#options = options;
    this.#roles = new RoleKeeper(options.roles, options.clock);
  }

  /** Takes a socket that is being upgraded, and seats it in its room once it is open. */
  admit(socket: WebSocket, admission: Admission): void {
    socket.binaryType = "arraybuffer";
    const connection = new Connection(
      socket,
      admission,
      this.#options.roles.policy.stateOf !== undefined,
    );
    this.#open.set(connection, this.#options.clock.uptime());
    this.#stopSweeping ??= this.#sweep();
    socket.onopen = () => {
      const { did, room } = admission;
      const seat = this.#options.rooms.join(room, connection);
      const stopKeeping = this.#roles.keep(did, room, seat);
      connection.sit(seat);
      socket.onclose = () => {
        connection.leave().then(stopKeeping);
        this.#forget(connection);
      };
    };
    // Until it opens; a failed upgrade fires an error first, which says no more than the close does.
    socket.onclose = () => this.#forget(connection);
    socket.onerror = () => {};
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

  /** Ends the sessions that have lasted long enough, now and then. */
  #sweep(): () => void {
    const { clock, maxSession } = this.#options;
    return clock.after(Math.min(SWEEP, maxSession), () => {
      this.#stopSweeping = this.#sweep();
      const last = clock.uptime() - maxSession;
      for (const [connection, openedAt] of this.#open) {
        if (openedAt > last) return;
        connection.expel(Close.SESSION_OVER, "the session is over: come back with a new ticket");
      }
    });
  }

  #forget(connection: Connection): void {
    this.#open.delete(connection);
    if (this.#open.size > 0) return;
    this.#stopSweeping?.();
    this.#stopSweeping = null;
    this.#onEmpty?.();
  }
}
