import { getLogger } from "@logtape/logtape";
import type { Role } from "../access/policy.ts";
import type { Clock } from "../clock.ts";
import type { Inflow } from "../limits/inflow.ts";
import type { Tally } from "../observe/tally.ts";
import { begin, type End } from "../observe/trace.ts";
import { Close } from "../sync/close.ts";
import type { Peer } from "../sync/peer.ts";
import type { Seat } from "../sync/room.ts";
import { levelOf } from "../store/errors.ts";

const logger = getLogger(["tessera", "socket"]);

/**
 * A line that gets a frame after it was told to close is cut by Deno before its client has read why. So
 * what is on its way is let run out: so often at most, for so long, in ms.
 */
const HUSH_ROUNDS = 5;
const HUSH_MS = 50;

/** What was settled before the socket opened. */
export interface Admission {
  did: string;
  room: string;
  role: Role;
  /** The network address of the other side. */
  address: string;
  /** That of the request that opened it. */
  id: string;
}

/** What a connection depends on. */
export interface ConnectionOptions {
  provisional: boolean;
  inflow: Inflow;
  clock: Clock;
  tally: Tally;
}

/** One socket, as a peer of its room. Ten thousand of these may be open: they hold no more than they need. */
export class Connection implements Peer {
  readonly did: string;
  readonly role: Role;
  readonly provisional: boolean;
  readonly room: string;
  readonly address: string;
  readonly #id: string;
  readonly #openedAt: number;
  /** How much has come and gone: messages, and bytes. */
  readonly #flow = { received: 0, receivedBytes: 0, sent: 0, sentBytes: 0 };
  /** Why it was closed, if we closed it. */
  #reason: string | undefined;
  /** When it last sent something. */
  #heardAt = -Infinity;
  #closing = false;
  readonly #socket: WebSocket;
  readonly #inflow: Inflow;
  readonly #clock: Clock;
  readonly #tally: Tally;
  #seat: Seat | null = null;
  /** From the handshake till it is sent something, which is when its room is loaded. */
  #joining: End | null;

  constructor(
    socket: WebSocket,
    { did, room, role, address, id }: Admission,
    { provisional, inflow, clock, tally }: ConnectionOptions,
  ) {
    this.did = did;
    this.role = role;
    this.room = room;
    this.address = address;
    this.#id = id;
    this.#openedAt = clock.uptime();
    this.provisional = provisional;
    this.#socket = socket;
    this.#inflow = inflow;
    this.#clock = clock;
    this.#tally = tally;
    this.#joining = begin("join", { "tessera.room": room, "tessera.did": did });
  }

  get buffered(): number {
    return this.#socket.bufferedAmount;
  }

  send(frame: Uint8Array): void {
    if (this.#socket.readyState !== WebSocket.OPEN) return;
    this.#tally.sent++;
    this.#tally.sentBytes += frame.length;
    this.#flow.sent++;
    this.#flow.sentBytes += frame.length;
    this.#socket.send(frame as Uint8Array<ArrayBuffer>);
    if (this.#joining !== null) this.#endJoining();
  }

  get hasSpoken(): boolean {
    return this.#heardAt > -Infinity;
  }

  /** Takes nothing more, and closes when no more comes, or soon. */
  close(code: number, reason: string): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#reason = reason;
    this.#closeInQuiet(code, reason, HUSH_ROUNDS);
  }

  #closeInQuiet(code: number, reason: string, rounds: number): void {
    const quiet = this.#clock.uptime() - this.#heardAt;
    if (quiet >= HUSH_MS || rounds === 0) return this.#socket.close(code, reason);
    this.#clock.after(HUSH_MS - quiet, () => this.#closeInQuiet(code, reason, rounds - 1));
  }

  /** It has its place in the room, and hands over what arrives from now on. */
  sit(seat: Seat): void {
    this.#seat = seat;
    this.#socket.onmessage = ({ data }) => this.#receive(data);
  }

  #endJoining(error?: string): void {
    this.#joining?.(error);
    this.#joining = null;
  }

  /** One event for each connection, when it has ended. */
  note(code: number): void {
    this.#endJoining(`closed with ${code}`);
    logger.info("{did} was in {room} for {took} ms: {code}", {
      did: this.did,
      room: this.room,
      role: this.role,
      took: Math.round(this.#clock.uptime() - this.#openedAt),
      code,
      ...this.#reason !== undefined && { reason: this.#reason },
      ...this.#flow,
      address: this.address,
      request: this.#id,
    });
  }

  /** The socket is gone. Resolves once nothing that came from it waits any more. */
  async leave(): Promise<void> {
    await this.#seat?.leave();
  }

  /** Closes the socket, and leaves the room at once. */
  expel(code: number, reason: string): void {
    this.close(code, reason);
    this.leave();
  }

  #receive(data: string | ArrayBuffer): void {
    this.#heardAt = this.#clock.uptime();
    if (this.#closing) return;
    if (typeof data === "string") {
      return this.expel(Close.BAD_FRAME, "text frames are not in the protocol");
    }
    const frame = new Uint8Array(data);
    const excess = this.#inflow.take(frame, this.#heardAt);
    if (excess !== null) {
      this.#tally.limits.add(excess.limit);
      return this.expel(excess.code, excess.reason);
    }
    this.#tally.received++;
    this.#tally.receivedBytes += frame.length;
    this.#flow.received++;
    this.#flow.receivedBytes += frame.length;
    try {
      this.#seat!.receive(frame);
    } catch (error) {
      // Nobody foresaw this one. It may cost this connection, and no other.
      const { did, room } = this;
      logger[levelOf(error, "error")]("a frame from {did} in {room} failed: {error}", {
        did,
        room,
        error,
      });
      this.expel(Close.INTERNAL_ERROR, "something went wrong on our side");
    }
  }
}
