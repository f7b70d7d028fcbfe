import { getLogger } from "@logtape/logtape";
import type { Role } from "../access/policy.ts";
import type { Clock } from "../clock.ts";
import type { Peer } from "../sync/peer.ts";
import type { Rooms } from "../sync/rooms.ts";
import { Close } from "../sync/close.ts";
import { RoleKeeper, type RoleSource } from "./role_keeper.ts";

const logger = getLogger(["tessera", "socket"]);

/** What was settled before the socket opened. */
export interface Admission {
  did: string;
  room: string;
  role: Role;
}

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
  readonly #open = new Set<WebSocket>();
  readonly #roles: RoleKeeper;
  #onEmpty: (() => void) | null = null;

  constructor(private readonly options: ConnectionsOptions) {
    this.#roles = new RoleKeeper(options.roles, options.clock);
  }

  /** Takes a socket that is being upgraded, and seats it in its room once it is open. */
  admit(socket: WebSocket, { did, room, role }: Admission): void {
    socket.binaryType = "arraybuffer";
    this.#open.add(socket);
    const peer: Peer = {
      did,
      role,
      get buffered() {
        return socket.bufferedAmount;
      },
      send(frame) {
        if (socket.readyState === WebSocket.OPEN) socket.send(frame as Uint8Array<ArrayBuffer>);
      },
      close: (code, reason) => socket.close(code, reason),
    };
    socket.onopen = () => {
      const { rooms, clock, maxSession } = this.options;
      const seat = rooms.join(room, peer);
      const stopKeeping = this.#roles.keep(did, room, seat);
      const expel = (code: number, reason: string) => {
        peer.close(code, reason);
        seat.leave();
      };
      const stopSession = clock.after(
        maxSession,
        () => expel(Close.SESSION_OVER, "the session is over: come back with a new ticket"),
      );
      socket.onmessage = ({ data }) => {
        if (typeof data === "string") {
          return expel(Close.BAD_FRAME, "text frames are not in the protocol");
        }
        try {
          seat.receive(new Uint8Array(data));
        } catch (error) {
          // Nobody foresaw this one. It may cost this connection, and no other.
          logger.error("a frame from {did} in {room} failed: {error}", { did, room, error });
          expel(Close.INTERNAL_ERROR, "something went wrong on our side");
        }
      };
      socket.onclose = () => {
        stopSession();
        stopKeeping();
        seat.leave();
        this.#forget(socket);
      };
    };
    // Until it opens; a failed upgrade fires an error first, which says no more than the close does.
    socket.onclose = () => this.#forget(socket);
    socket.onerror = () => {};
  }

  /** Resolves once no socket is open any more, or after `patience` ms. */
  async allClosed(clock: Clock, patience: number): Promise<void> {
    if (this.#open.size === 0) return;
    await new Promise<void>((resolve) => {
      const cancel = clock.after(patience, resolve);
      this.#onEmpty = () => {
        cancel();
        resolve();
      };
    });
  }

  #forget(socket: WebSocket): void {
    this.#open.delete(socket);
    if (this.#open.size === 0) this.#onEmpty?.();
  }
}
