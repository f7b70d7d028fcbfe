import { getLogger } from "@logtape/logtape";
import type { Role } from "../access/policy.ts";
import type { Clock } from "../clock.ts";
import type { Inflow } from "../limits/inflow.ts";
import type { Turn, Turns } from "../limits/turns.ts";
import type { Tally } from "../observe/tally.ts";
import type { Socket, SocketEvents } from "../transport/socket.ts";
import { begin, type End } from "../observe/trace.ts";
import { Close } from "../sync/close.ts";
import type { Peer } from "../sync/peer.ts";
import type { Seat } from "../sync/room.ts";
import { levelOf } from "../store/errors.ts";

const logger = getLogger(["tessera", "socket"]);

/**
 * A peer that has not taken so many bytes yet is not read from, until it has taken them all: what it sends
 * would be answered. A room stops at half of that, so that a peer that loads a large document is heard.
 */
const FULL_BYTES = 2 * 1024 * 1024;

/**
 * A message of which more than this has arrived needs its turn: its bytes lie here until it is complete.
 * What is smaller is not worth a wait.
 */
const LARGE_BYTES = 256 * 1024;

/** How long a peer has to read why it is closed when its memory is needed at once, in ms. */
const LAST_MOMENT_MS = 1_000;

/** Close codes that are counted by themselves: clients may send any. */
const ours = new Set<number>([1000, 1001, 1002, 1005, 1006, 1007, 1008, ...Object.values(Close)]);

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
  /** Who may send a large message, by DID. */
  largeMessages: Turns;
  clock: Clock;
  tally: Tally;
  /** Called when the handshake is complete. Returns the connection's place in its room. */
  onOpen(connection: Connection): Seat;
  /** Called once, when the socket has ended; `left` resolves once nothing that came from it waits any more. */
  onClose(connection: Connection, left: Promise<void>): void;
}

/** One socket, as a peer of its room. Ten thousand of these may be open: they hold no more than they need. */
export class Connection implements Peer, SocketEvents {
  readonly did: string;
  readonly role: Role;
  readonly room: string;
  readonly address: string;
  readonly #id: string;
  readonly #openedAt: number;
  /** How much has come and gone: messages, and bytes. */
  readonly #flow = { received: 0, receivedBytes: 0, sent: 0, sentBytes: 0 };
  readonly #socket: Socket;
  readonly #options: ConnectionOptions;
  /** Why it was closed, if we closed it, or what came broke the protocol. */
  #ending: { code: number; reason: string } | null = null;
  #hasSpoken = false;
  #isTooFast = false;
  #isFull = false;
  /** The turn of a large message that is arriving, and since when it has that. */
  #turn: Turn | null = null;
  #turnAt = 0;
  /** What there was to be taken at the last look, and since when that has not become less. */
  #wasBuffered = 0;
  #stalledAt = 0;
  #seat: Seat | null = null;
  /** From the handshake till it is sent something, which is when its room is loaded. */
  #joining: End | null;

  constructor(
    socket: Socket,
    { did, room, role, address, id }: Admission,
    options: ConnectionOptions,
  ) {
    this.did = did;
    this.role = role;
    this.room = room;
    this.address = address;
    this.#id = id;
    this.#openedAt = options.clock.uptime();
    this.#socket = socket;
    this.#options = options;
    this.#joining = begin("join", { "tessera.room": room, "tessera.did": did });
  }

  get provisional(): boolean {
    return this.#options.provisional;
  }

  get buffered(): number {
    return this.#socket.buffered;
  }

  /** Bytes of memory that are kept on its behalf; 0 once it is being closed. */
  get cost(): number {
    if (this.#ending !== null) return 0;
    return this.#socket.buffered + this.#socket.incomplete + (this.#seat?.held ?? 0);
  }

  get hasSpoken(): boolean {
    return this.#hasSpoken;
  }

  send(frame: Uint8Array): void {
    if (this.#ending !== null) return;
    const { tally } = this.#options;
    tally.sent++;
    tally.sentBytes += frame.length;
    this.#flow.sent++;
    this.#flow.sentBytes += frame.length;
    this.#socket.send(frame);
    if (this.#joining !== null) this.#endJoining();
    if (this.#isFull || this.#socket.buffered <= FULL_BYTES) return;
    this.#isFull = true;
    this.#socket.pause();
  }

  /** Takes nothing more, and closes. */
  close(code: number, reason: string): void {
    if (this.#ending !== null) return;
    this.#ending = { code, reason };
    this.#socket.close(code, reason);
    this.#isFull = false;
    this.#readOn(); // or the answer to the close would never be read
  }

  /** Closes the socket, and leaves the room at once. */
  expel(code: number, reason: string): void {
    this.close(code, reason);
    this.#seat?.leave();
  }

  /** As `expel`, and gives it only a moment to read why. */
  expelNow(code: number, reason: string): void {
    this.expel(code, reason);
    this.#options.clock.after(LAST_MOMENT_MS, () => this.#socket.terminate());
  }

  opened(): void {
    this.#options.tally.opened++;
    this.#seat = this.#options.onOpen(this);
  }

  /**
   * To be called every few seconds. Ends a connection that takes nothing of what it was sent, and one whose
   * large message does not arrive, for `patience` ms.
   */
  checkProgress(patience: number): void {
    const now = this.#options.clock.uptime();
    const { buffered } = this.#socket;
    if (buffered === 0 || buffered < this.#wasBuffered) this.#stalledAt = now;
    this.#wasBuffered = buffered;
    if (now - this.#stalledAt > patience) this.expelNow(Close.TRY_AGAIN, "too slow");
    else if (this.#turn?.isHeld && now - this.#turnAt > patience) {
      this.expel(
        Close.TOO_BIG,
        `a message took more than ${patience / 1_000} s: send smaller ones`,
      );
    }
  }

  arrived(frames: number, bytes: number): void {
    this.#awaitTurn();
    const { inflow, clock, tally } = this.#options;
    const excess = inflow.take(frames, bytes, clock.uptime());
    if (excess === null) return;
    if (!this.#socket.canPause) {
      tally.limits.add(excess.limit);
      return this.expel(Close.SLOW_DOWN, excess.reason);
    }
    if (this.#isTooFast) return; // what was read already when it was paused
    tally.limits.add(excess.limit);
    this.#isTooFast = true;
    this.#socket.pause();
    clock.after(excess.wait, () => {
      this.#isTooFast = false;
      this.#readOn();
    });
  }

  control(): void {
    const { inflow, clock, tally } = this.#options;
    const excess = inflow.takeControl(clock.uptime());
    if (excess === null || this.#ending !== null) return;
    tally.limits.add(excess.limit);
    this.expel(Close.SLOW_DOWN, excess.reason);
  }

  message(data: Uint8Array | string): void {
    this.#hasSpoken = true;
    if (this.#ending !== null || this.#seat === null) return;
    if (typeof data === "string") {
      return this.expel(Close.BAD_FRAME, "text frames are not in the protocol");
    }
    const { inflow, tally } = this.#options;
    const excess = inflow.tooLarge(data);
    if (excess !== null) {
      tally.limits.add(excess.limit);
      return this.expel(Close.TOO_BIG, excess.reason);
    }
    tally.received++;
    tally.receivedBytes += data.length;
    this.#flow.received++;
    this.#flow.receivedBytes += data.length;
    try {
      this.#seat.receive(data);
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

  failed(code: number, reason: string): void {
    if (code === Close.TOO_BIG) this.#options.tally.limits.add("messageBytes");
    this.#ending ??= { code, reason };
    this.#turn?.end();
    this.#seat?.leave();
  }

  drained(): void {
    this.#isFull = false;
    this.#readOn();
  }

  closed(code: number): void {
    this.#turn?.end();
    this.#note(this.#ending?.code ?? code);
    this.#options.onClose(this, this.#seat?.leave() ?? Promise.resolve());
  }

  /** Begins to wait for the turn of a large message, or gives it up when that has arrived. */
  #awaitTurn(): void {
    if (this.#socket.incomplete <= LARGE_BYTES) {
      this.#turn?.end();
      this.#turn = null;
    } else if (this.#turn === null) {
      this.#turnAt = this.#options.clock.uptime();
      this.#turn = this.#options.largeMessages.ask(this.did, () => {
        this.#turnAt = this.#options.clock.uptime();
        this.#readOn();
      });
      if (!this.#turn.isHeld) this.#socket.pause();
    }
  }

  #readOn(): void {
    if (this.#isFull || this.#isTooFast || this.#turn?.isHeld === false) return;
    this.#socket.resume();
  }

  #endJoining(error?: string): void {
    this.#joining?.(error);
    this.#joining = null;
  }

  /** One event for each connection, when it has ended. */
  #note(code: number): void {
    const { tally, clock } = this.#options;
    this.#endJoining(`closed with ${code}`);
    if (this.#seat === null) return; // it never opened
    tally.closed.add(ours.has(code) ? String(code) : "other");
    logger.info("{did} was in {room} for {took} ms: {code}", {
      did: this.did,
      room: this.room,
      role: this.role,
      took: Math.round(clock.uptime() - this.#openedAt),
      code,
      ...this.#ending !== null && { reason: this.#ending.reason },
      ...this.#flow,
      address: this.address,
      request: this.#id,
    });
  }
}
