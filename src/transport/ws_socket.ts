import { Buffer } from "node:buffer";
import type { Socket as TcpSocket } from "node:net";
import { setImmediate } from "node:timers";
import { Receiver, Sender } from "ws";
import type { Clock } from "../clock.ts";
import { FrameMeter } from "./frame_meter.ts";
import type { Socket, SocketEvents } from "./socket.ts";

/**
 * How long a peer has to answer a close frame, in ms, and to take everything that was sent before it. What
 * it sends meanwhile is read and dropped: a connection that ends with bytes unread is reset, and a reset
 * destroys a close frame that is still on its way.
 */
const CLOSE_TIMEOUT_MS = 10_000;

/** Frames that are handed on in one turn of the event loop: a read of 64 KiB has up to 10,000 of them. */
const FRAMES_PER_TURN = 128;

/** A message that is a small part of a larger read is copied, so that keeping it does not keep the read. */
const SHARED_PART = 0.5;

/** Frames of one message. Clients send one, or one for each 4 KiB and more. Each costs some 150 bytes. */
const MAX_FRAGMENTS = 4_096;

/** Bytes in frames of any kind before a message is complete, as a multiple of the largest message. */
const INCOMPLETE_SHARE = 2;

const FRAME = { fin: true, mask: false, readOnly: true, rsv1: false };
const BINARY = { ...FRAME, opcode: 2 };
const CLOSE = { ...FRAME, opcode: 8 };
const PING = { ...FRAME, opcode: 9 };
const PONG = { ...FRAME, opcode: 10 };

/** https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1 */
const [NO_CODE, ABNORMAL, PROTOCOL_ERROR, TOO_BIG] = [1005, 1006, 1002, 1009];

/** The codes for what `ws` finds wrong; the rest is PROTOCOL_ERROR. */
const CODES: Record<string, number> = {
  WS_ERR_UNSUPPORTED_MESSAGE_LENGTH: TOO_BIG,
  WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH: TOO_BIG,
  WS_ERR_TOO_MANY_BUFFERED_PARTS: 1008,
  WS_ERR_INVALID_UTF8: 1007,
};

const NOTHING = new Uint8Array(0);

/**
 * A WebSocket on a TCP connection, from after its handshake. npm `ws` parses what comes in, and says how a
 * frame looks. We hand it the bytes at a pace, and write whole frames, so that a broadcast is framed once for
 * everybody and kept once for all who have to wait.
 */
export class WsSocket implements Socket {
  readonly canPause = true;
  readonly #tcp: TcpSocket;
  readonly #clock: Clock;
  readonly #meter = new FrameMeter();
  readonly #maxIncomplete: number;
  /** Null once no message that comes matters any more. */
  #receiver: Receiver | null;
  /** Whether it is still known where frames begin: not after one that breaks the protocol. */
  #isInStep = true;
  #events: SocketEvents | null = null;
  /** What was read and not handed on yet. */
  #unread: Uint8Array = NOTHING;
  #isPaused = false;
  /** The next turn will hand on what is unread. */
  #isDue = false;
  /** Frames that wait for TCP to drain. It is given no more than it asks for: that shows progress. */
  #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #mustWait = false;
  /** A close frame was sent or has come: no other frame is sent, and none that comes is reported. */
  #isClosing = false;
  /** Both sides have said what they had to say. */
  #isOver = false;
  #code = ABNORMAL;
  #cancelTimer: (() => void) | null = null;
  /** Nothing has arrived since the last look. */
  #isSilent = false;

  /**
   * @param head What has come after the handshake.
   * @param messageBytes The largest message that is taken.
   */
  constructor(tcp: TcpSocket, head: Uint8Array, messageBytes: number, clock: Clock) {
    this.#tcp = tcp;
    this.#clock = clock;
    this.#unread = head;
    this.#maxIncomplete = messageBytes * INCOMPLETE_SHARE;
    this.#receiver = new Receiver({
      isServer: true,
      maxPayload: messageBytes,
      maxFragments: MAX_FRAGMENTS,
    });
  }

  get buffered(): number {
    return this.#queuedBytes + this.#tcp.writableLength;
  }

  get incomplete(): number {
    return this.#receiver === null ? 0 : this.#meter.incomplete;
  }

  start(events: SocketEvents): void {
    this.#events = events;
    this.#receiver!
      .on("message", (data: Uint8Array, isBinary: boolean) => {
        if (!this.#isClosing) events.message(isBinary ? own(data) : String(data));
      })
      .on("ping", (data: Uint8Array) => {
        events.control();
        // An answer must not queue for a peer that takes nothing; a later ping is answered as well.
        if (!this.#isClosing && this.buffered === 0) this.#write(framed(data, PONG));
      })
      .on("pong", () => events.control())
      .on("conclude", (code: number) => this.#conclude(code))
      .on(
        "error",
        ({ code = "", message }: Error & { code?: string }) =>
          this.#fail(CODES[code] ?? PROTOCOL_ERROR, message),
      );
    const tcp = this.#tcp;
    tcp.setTimeout(0);
    tcp.on("data", (chunk: Uint8Array) => this.#read(chunk));
    tcp.on("drain", () => this.#drain());
    tcp.on("end", () => this.#finish());
    tcp.on("close", () => this.#end());
    events.opened();
    this.resume();
  }

  send(message: Uint8Array): void {
    if (!this.#isClosing) this.#write(framed(message, BINARY));
  }

  close(code: number, reason: string): void {
    if (this.#isClosing) return;
    this.#sayGoodbye(code, reason);
  }

  terminate(): void {
    this.#isClosing = true;
    this.#forget();
    this.#tcp.destroy();
  }

  pause(): void {
    this.#isPaused = true;
    this.#tcp.pause();
  }

  resume(): void {
    this.#isPaused = false;
    if (this.#unread.length > 0) this.#readOnSoon();
    else this.#tcp.resume();
  }

  /**
   * To be called every now and then, by the listener. Terminates a peer from which nothing has come since the
   * call before the last; whoever has been silent since the last is sent a ping. A peer that has still to
   * take what it was sent cannot answer, nor one that is not read: those are watched by others.
   */
  checkAlive(): void {
    if (this.#isPaused || this.buffered > 0) this.#isSilent = false;
    else if (this.#isSilent) this.terminate();
    else {
      this.#isSilent = true;
      if (!this.#isClosing) this.#write(framed(NOTHING, PING));
    }
  }

  #read(chunk: Uint8Array): void {
    this.#isSilent = false;
    this.#unread = this.#unread.length === 0 ? chunk : Buffer.concat([this.#unread, chunk]);
    if (!this.#isDue) this.#readOn();
  }

  /** Hands on as much as fits into a turn. */
  #readOn(): void {
    const { frames, bytes } = this.#isInStep
      ? this.#meter.read(this.#unread, FRAMES_PER_TURN)
      : { frames: 0, bytes: this.#unread.length };
    const part = this.#unread.subarray(0, bytes);
    this.#unread = bytes === this.#unread.length ? NOTHING : this.#unread.subarray(bytes);
    // What is dropped is read for the peer's sake alone, and counts as a turn's frames.
    this.#events?.arrived(this.#receiver === null ? FRAMES_PER_TURN : frames, bytes);
    this.#receiver?.write(part);
    if (this.#receiver === null && this.#isInStep && this.#meter.hasClose) this.#finish();
    if (this.incomplete > this.#maxIncomplete) {
      this.#fail(TOO_BIG, "a message arrives in too many frames");
    }
    if (this.#isPaused) return;
    if (this.#unread.length > 0) {
      this.#tcp.pause();
      this.#readOnSoon();
    } else if (this.#tcp.isPaused()) this.#tcp.resume();
  }

  #readOnSoon(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    setImmediate(() => {
      this.#isDue = false;
      if (!this.#isPaused && !this.#tcp.destroyed) this.#readOn();
    });
  }

  #write(frame: Uint8Array): void {
    if (this.#mustWait) {
      this.#queue.push(frame);
      this.#queuedBytes += frame.length;
    } else if (!this.#tcp.write(frame)) this.#mustWait = true;
  }

  #drain(): void {
    this.#mustWait = false;
    let next = 0;
    while (!this.#mustWait && next < this.#queue.length) {
      const frame = this.#queue[next++]!;
      this.#queuedBytes -= frame.length;
      this.#write(frame);
    }
    this.#queue.splice(0, next);
    if (this.#mustWait) return;
    if (this.#isOver) this.#tcp.end();
    this.#events?.drained();
  }

  /** Sends a close frame, after everything that was sent before. From now on only the answer is looked for. */
  #sayGoodbye(code: number, reason: string): void {
    this.#isClosing = true;
    this.#receiver = null;
    this.#cancelTimer ??= this.#clock.after(CLOSE_TIMEOUT_MS, () => this.terminate());
    this.#write(framed(closing(code, reason), CLOSE));
  }

  /** A close frame has come. */
  #conclude(code: number): void {
    this.#code = code;
    if (!this.#isClosing) this.#sayGoodbye(code, "");
    this.#finish();
  }

  /** What has come breaks a rule. Nobody can tell where the next frame begins. */
  #fail(code: number, reason: string): void {
    if (!this.#isInStep) return;
    this.#isInStep = false;
    if (this.#isClosing) return this.#finish();
    this.#sayGoodbye(code, reason);
    this.#finish();
    this.#events?.failed(code, reason);
  }

  /** Nothing more that comes matters: ends our side as soon as everything is sent. */
  #finish(): void {
    if (this.#isOver) return;
    this.#isClosing = true;
    this.#isOver = true;
    this.#cancelTimer ??= this.#clock.after(CLOSE_TIMEOUT_MS, () => this.terminate());
    this.#receiver = null;
    if (!this.#mustWait) this.#tcp.end();
  }

  #forget(): void {
    this.#queue = [];
    this.#queuedBytes = 0;
    this.#receiver = null;
    this.#unread = NOTHING;
  }

  #end(): void {
    this.#cancelTimer?.();
    this.#isClosing = true;
    this.#forget();
    const events = this.#events;
    this.#events = null;
    events?.closed(this.#code);
  }
}

/** The payload of a close frame: https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1 */
function closing(code: number, reason: string): Uint8Array {
  if (code === NO_CODE) return NOTHING;
  const payload = Buffer.alloc(2 + Buffer.byteLength(reason));
  payload.writeUInt16BE(code);
  payload.write(reason, 2);
  return payload;
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
