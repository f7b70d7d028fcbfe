import type { Clock } from "../clock.ts";
import type { Socket, SocketEvents } from "./socket.ts";

/**
 * Deno cuts a connection that gets a frame after it was told to close, before its client has read why. So
 * what is on its way is let run out: so often at most, for so long, in ms.
 */
const HUSH_ROUNDS = 5;
const HUSH_MS = 50;

/** The code of a connection that ended without one: https://www.rfc-editor.org/rfc/rfc6455#section-7.1.5 */
const ABNORMAL = 1006;

/**
 * Deno's own WebSocket. It cannot stop reading, reports a message only when it is complete, and never
 * reports that a client has gone before the handshake was answered: such a socket ends when it is closed.
 */
export class DenoSocket implements Socket {
  readonly canPause = false;
  readonly incomplete = 0;
  readonly #socket: WebSocket;
  readonly #clock: Clock;
  #events: SocketEvents | null = null;
  #isClosing = false;
  /** When something last arrived, in ms of the clock's uptime. */
  #heardAt = -Infinity;

  constructor(socket: WebSocket, clock: Clock) {
    this.#socket = socket;
    this.#clock = clock;
    socket.binaryType = "arraybuffer";
  }

  get buffered(): number {
    return this.#socket.bufferedAmount;
  }

  start(events: SocketEvents): void {
    this.#events = events;
    const socket = this.#socket;
    socket.onopen = () => {
      if (this.#isClosing) return socket.close();
      this.#events?.opened();
    };
    socket.onmessage = ({ data }) => {
      this.#heardAt = this.#clock.uptime();
      if (this.#isClosing) return;
      const message: Uint8Array | string = typeof data === "string" ? data : new Uint8Array(data);
      events.arrived(1, message.length);
      events.message(message);
    };
    socket.onclose = ({ code }) => this.#end(code);
    socket.onerror = () => {
      if (socket.readyState === WebSocket.CONNECTING) this.#end(ABNORMAL);
      // Otherwise it says no more than the close that follows.
    };
  }

  send(message: Uint8Array): void {
    if (this.#isClosing || this.#socket.readyState !== WebSocket.OPEN) return;
    this.#socket.send(message as Uint8Array<ArrayBuffer>);
  }

  close(code: number, reason: string): void {
    if (this.#isClosing) return;
    this.#isClosing = true;
    if (this.#socket.readyState === WebSocket.CONNECTING) return this.#end(ABNORMAL);
    this.#closeInQuiet(code, reason, HUSH_ROUNDS);
  }

  /** Deno has no way to cut a connection: the best there is is to close it. */
  terminate(): void {
    this.#isClosing = true;
    if (this.#socket.readyState === WebSocket.CONNECTING) this.#end(ABNORMAL);
    else this.#socket.close();
  }

  pause(): void {}

  resume(): void {}

  #closeInQuiet(code: number, reason: string, rounds: number): void {
    const quiet = this.#clock.uptime() - this.#heardAt;
    if (quiet >= HUSH_MS || rounds === 0) return this.#socket.close(code, reason);
    this.#clock.after(HUSH_MS - quiet, () => this.#closeInQuiet(code, reason, rounds - 1));
  }

  #end(code: number): void {
    this.#isClosing = true;
    const events = this.#events;
    this.#events = null;
    events?.closed(code || ABNORMAL);
  }
}
