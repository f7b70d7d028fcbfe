import { getLogger } from "@logtape/logtape";
import type { Role } from "../access/policy.ts";
import { Close } from "../sync/close.ts";
import type { Peer } from "../sync/peer.ts";
import type { Seat } from "../sync/room.ts";

const logger = getLogger(["tessera", "socket"]);

/** What was settled before the socket opened. */
export interface Admission {
  did: string;
  room: string;
  role: Role;
}

/** One socket, as a peer of its room. Ten thousand of these may be open: they hold no more than they need. */
export class Connection implements Peer {
  readonly did: string;
  readonly role: Role;
  readonly provisional: boolean;
  readonly #socket: WebSocket;
  readonly #room: string;
  #seat: Seat | null = null;

  constructor(socket: WebSocket, { did, room, role }: Admission, provisional: boolean) {
    this.did = did;
    this.role = role;
    this.provisional = provisional;
    this.#room = room;
    this.#socket = socket;
  }

  get buffered(): number {
    return this.#socket.bufferedAmount;
  }

  send(frame: Uint8Array): void {
    if (this.#socket.readyState !== WebSocket.OPEN) return;
    this.#socket.send(frame as Uint8Array<ArrayBuffer>);
  }

  close(code: number, reason: string): void {
    this.#socket.close(code, reason);
  }

  /** It has its place in the room, and hands over what arrives from now on. */
  sit(seat: Seat): void {
    this.#seat = seat;
    this.#socket.onmessage = ({ data }) => this.#receive(data);
  }

  /** The socket is gone. Resolves once nothing that came from it waits any more. */
  async leave(): Promise<void> {
    await this.#seat?.leave();
  }

  /** Closes the socket, without waiting for the other side. */
  expel(code: number, reason: string): void {
    this.close(code, reason);
    this.leave();
  }

  #receive(data: string | ArrayBuffer): void {
    if (typeof data === "string") {
      return this.expel(Close.BAD_FRAME, "text frames are not in the protocol");
    }
    try {
      this.#seat!.receive(new Uint8Array(data));
    } catch (error) {
      // Nobody foresaw this one. It may cost this connection, and no other.
      const { did } = this;
      logger.error("a frame from {did} in {room} failed: {error}", {
        did,
        room: this.#room,
        error,
      });
      this.expel(Close.INTERNAL_ERROR, "something went wrong on our side");
    }
  }
}
