import type { Socket as TcpSocket } from "node:net";
import { Sender, type WebSocket } from "ws";
import { FrameMeter } from "./frame_meter.ts";
import type { Socket, SocketEvents } from "./socket.ts";

/**
 * How long a peer has to answer a close frame, in ms, after everything that was sent before it. What it
 * sends meanwhile is read and dropped: a connection that ends with bytes unread is reset, and a reset
 * destroys a close frame that is still on its way.
 */
export const CLOSE_TIMEOUT_MS = 10_000;

/** A message that is a small part of a larger read is copied, so that keeping it does not keep the read. */
const SHARED_PART = 0.5;

/** Bytes of a message that is not complete, as a multiple of the largest message: its frames have headers. */
const INCOMPLETE_SHARE = 2;

const FRAME = { fin: true, mask: false, readOnly: true, rsv1: false };
const BINARY = { ...FRAME, opcode: 2 };
const PING = { ...FRAME, opcode: 9 };
const PONG = { ...FRAME, opcode: 10 };

/** What `ws` calls the errors of a peer, and the code with which it closes: they are not in its types. */
const CODES: Record<string, number> = {
  WS_ERR_UNSUPPORTED_MESSAGE_LENGTH: 1009,
  WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH: 1009,
  WS_ERR_TOO_MANY_BUFFERED_PARTS: 1008,
  WS_ERR_INVALID_UTF8: 1007,
};
const PROTOCOL_ERROR = 1002;
const TOO_BIG = 1009;
const ABNORMAL = 1006;

/**
 * A WebSocket of npm's `ws`. It reads, and answers close frames; we write whole frames to the TCP socket
 * ourselves, so that a broadcast is framed once for everybody, and one that has to wait is kept once.
 */
export class WsSocket implements Socket {
  readonly canPause = true;
  readonly #ws: WebSocket;
  readonly #tcp: TcpSocket;
  readonly #meter = new FrameMeter();
  readonly #maxIncomplete: number;
  #events: SocketEvents | null = null;
  /** Frames that wait for the TCP socket to drain. It is given no more than it asks for: that shows progress. */
  #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #mustWait = false;
  #isClosing = false;
  /** What to close with once the queue is empty. */
  #farewell: { code: number; reason: string } | null = null;
  #closeTimer: ReturnType<typeof setTimeout> | undefined;
  /** Nothing has arrived since `ping` was last called. */
  #isSilent = false;
  #isPaused = false;
  readonly #onData = (chunk: Uint8Array) => this.#meterChunk(chunk);

  /** @param messageBytes The largest message that `ws` was told to take. */
  constructor(ws: WebSocket, tcp: TcpSocket, messageBytes: number) {
    this.#ws = ws;
    this.#tcp = tcp;
    this.#maxIncomplete = messageBytes * INCOMPLETE_SHARE;
  }

  get buffered(): number {
    return this.#queuedBytes + this.#tcp.writableLength;
  }

  get incomplete(): number {
    return this.#meter.incomplete;
  }

  start(events: SocketEvents): void {
    this.#events = events;
    const ws = this.#ws;
    this.#tcp.prependListener("data", this.#onData);
    this.#tcp.on("drain", () => this.#drain());
    ws.on("message", (data: Uint8Array, isBinary: boolean) => {
      if (!this.#isClosing) events.message(isBinary ? own(data) : String(data));
    });
    ws.on("ping", (data: Uint8Array) => {
      events.control();
      // An answer must not queue for a peer that takes nothing; a later ping is answered as well.
      if (!this.#isClosing && this.buffered === 0) this.#write(framed(data, PONG));
    });
    ws.on("pong", () => events.control());
    ws.on("error", (error: Error & { code?: string }) => {
      if (!error.code?.startsWith("WS_ERR_")) return; // the connection broke; it closes by itself
      this.#fail(CODES[error.code] ?? PROTOCOL_ERROR, error.message);
    });
    ws.on("close", (code: number) => this.#end(code));
    events.opened();
  }

  send(message: Uint8Array): void {
    if (this.#isClosing || this.#ws.readyState !== this.#ws.OPEN) return;
    this.#write(framed(message, BINARY));
  }

  close(code: number, reason: string): void {
    if (this.#isClosing) return;
    this.#isClosing = true;
    this.#farewell = { code, reason };
    this.#closeTimer = setTimeout(() => this.terminate(), CLOSE_TIMEOUT_MS);
    if (this.#queue.length === 0) this.#sayFarewell();
  }

  terminate(): void {
    this.#isClosing = true;
    this.#dropQueue();
    this.#tcp.destroy();
  }

  pause(): void {
    this.#isPaused = true;
    this.#ws.pause();
  }

  resume(): void {
    this.#isPaused = false;
    this.#ws.resume();
  }

  /**
   * To be called every now and then, by its listener. Terminates a peer from which nothing has arrived since
   * the call before the last; whoever has been silent since the last is sent a ping. A peer that is still
   * to take what it was sent cannot answer, nor one that is not read: those are watched by others.
   */
  checkAlive(): void {
    if (this.#isPaused || this.buffered > 0) this.#isSilent = false;
    else if (this.#isSilent) this.terminate();
    else {
      this.#isSilent = true;
      if (!this.#isClosing) this.#write(framed(new Uint8Array(0), PING));
    }
  }

  /** Sees every chunk before `ws` does. */
  #meterChunk(chunk: Uint8Array): void {
    this.#isSilent = false;
    const frames = this.#meter.read(chunk);
    this.#events?.arrived(frames, chunk.length);
    if (this.#isClosing || this.#meter.incomplete <= this.#maxIncomplete) return;
    const reason = "a message arrives in too many frames";
    this.#ws.close(TOO_BIG, reason);
    // As `ws` does after an error of its own: what still arrives is read, and dropped unparsed.
    this.#tcp.removeAllListeners("data").on("data", this.#onData).resume();
    this.#tcp.end();
    this.#fail(TOO_BIG, reason);
  }

  /** `ws` has sent a close frame of its own, and reads no further frames. */
  #fail(code: number, reason: string): void {
    this.#isClosing = true;
    this.#dropQueue();
    this.#events?.failed(code, reason);
  }

  #write(frame: Uint8Array): void {
    if (this.#mustWait) {
      this.#queue.push(frame);
      this.#queuedBytes += frame.length;
    } else if (!this.#tcp.write(frame)) this.#mustWait = true;
  }

  #drain(): void {
    this.#mustWait = false;
    if (this.#ws.readyState !== this.#ws.OPEN) this.#dropQueue(); // no data follows a close frame
    let next = 0;
    while (!this.#mustWait && next < this.#queue.length) {
      const frame = this.#queue[next++]!;
      this.#queuedBytes -= frame.length;
      this.#write(frame);
    }
    this.#queue.splice(0, next);
    if (this.#mustWait) return;
    if (this.#farewell !== null) this.#sayFarewell();
    this.#events?.drained();
  }

  #dropQueue(): void {
    this.#queue = [];
    this.#queuedBytes = 0;
  }

  #sayFarewell(): void {
    const { code, reason } = this.#farewell!;
    this.#farewell = null;
    this.#ws.close(code, reason);
  }

  #end(code: number): void {
    clearTimeout(this.#closeTimer);
    this.#isClosing = true;
    this.#dropQueue();
    const events = this.#events;
    this.#events = null;
    events?.closed(code || ABNORMAL);
  }
}

let lastFramed: { data: Uint8Array; options: typeof FRAME; frame: Uint8Array } | undefined;

/** A whole frame. A broadcast asks for the same one again and again. */
function framed(data: Uint8Array, options: typeof BINARY): Uint8Array {
  if (lastFramed?.data === data && lastFramed.options === options) return lastFramed.frame;
  const frame = Buffer.concat(Sender.frame(data as Buffer, options) as Buffer[]);
  lastFramed = { data, options, frame };
  return frame;
}

/** The message by itself, unless it is most of what it lies in. */
function own(data: Uint8Array): Uint8Array {
  if (data.length >= data.buffer.byteLength * SHARED_PART) {
    return new Uint8Array(data.buffer, data.byteOffset, data.length);
  }
  return new Uint8Array(data);
}
