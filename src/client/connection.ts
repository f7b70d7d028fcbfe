import { closeWords, ProviderError } from "./failure.ts";
import type { World } from "./world.ts";

/** How long a connection may take to open, in ms. */
const OPENING_MS = 15_000;

/** No browser tells why a connection was not opened. */
const NOT_OPENED = "The service did not open a connection.";

const NO_ANSWER = "The service did not answer.";

/** The service sends something every 20 s: after so long without a message, in ms, it is gone. */
const SILENCE_MS = 30_000;

/** How long a connection in doubt may be silent, in ms: it was asked something that is answered at once. */
const DOUBT_MS = 5_000;

/** With more than this under way, in bytes, an answer may be late because of that alone. */
const LIGHT_BYTES = 64 * 1024;

/** One WebSocket, from the handshake to the close. */
export class Connection {
  readonly #world: World;
  readonly #ws: WebSocket;
  readonly #opened = Promise.withResolvers<void>();
  readonly #ended = Promise.withResolvers<ProviderError>();
  #isOpen = false;
  #isOver = false;
  #heardAt = 0;
  /** Bytes that were sent since the service last said that it has got everything. */
  #underWay = 0;
  #cancelDeadline = () => {};
  #cancelDoubt: (() => void) | null = null;

  /** @throws {ProviderError} a page over https may not connect to an endpoint without it */
  constructor(
    url: string,
    protocols: string[],
    world: World,
    onOpen: () => void,
    onFrame: (frame: Uint8Array) => void,
  ) {
    this.#world = world;
    try {
      this.#ws = new world.WebSocket(url, protocols);
    } catch (cause) {
      const words = "This page is not allowed to connect to the service.";
      throw new ProviderError("Unreachable", words, { cause });
    }
    this.#cancelDeadline = world.after(OPENING_MS, () => this.end(NOT_OPENED));
    this.#ws.binaryType = "arraybuffer";
    this.#ws.onopen = () => {
      this.#cancelDeadline();
      this.#isOpen = true;
      this.#heardAt = world.uptime();
      this.#watchSilence(SILENCE_MS);
      this.#opened.resolve();
      onOpen();
    };
    this.#ws.onmessage = ({ data }) => {
      this.#heardAt = world.uptime();
      this.#settleDoubt();
      onFrame(new Uint8Array(data as ArrayBuffer));
    };
    this.#ws.onclose = ({ code, reason }) => {
      const words = this.#isOpen ? "The connection was lost." : NOT_OPENED;
      this.#end(new ProviderError("Closed", closeWords(code, reason) ?? words, { code }));
    };
    this.#ws.onerror = () => {}; // without a listener, Node would throw it
  }

  /** Resolves when it is open. @throws {ProviderError} it could not be opened */
  async opened(): Promise<void> {
    const failure = await Promise.race([this.#opened.promise, this.#ended.promise]);
    if (failure) throw failure;
  }

  /** Resolves with the reason when it has ended. */
  get ended(): Promise<ProviderError> {
    return this.#ended.promise;
  }

  /** Bytes that wait to be sent. */
  get buffered(): number {
    return this.#ws.bufferedAmount;
  }

  /** Sends a frame, if the connection is open. */
  send(frame: Uint8Array<ArrayBuffer>): void {
    if (!this.#isOpen || this.#isOver || this.#ws.readyState !== OPEN) return;
    this.#underWay += frame.byteLength;
    this.#ws.send(frame);
  }

  /** The service has got everything that was sent. */
  settled(): void {
    this.#underWay = 0;
  }

  /**
   * Ends it unless something is heard soon. Call it when `question` was, or is, on its way. Not while
   * much is under way: on a slow line the question itself takes long.
   */
  doubt(question: Uint8Array<ArrayBuffer>): void {
    if (!this.#isOpen || this.#isOver || this.#cancelDoubt || this.#underWay > LIGHT_BYTES) return;
    this.#cancelDoubt = this.#world.after(DOUBT_MS, () => this.end(NO_ANSWER));
    this.send(question);
  }

  /** Closes it. */
  end(why: string, code?: number): void {
    this.#end(new ProviderError("Closed", why, { code }));
  }

  #end(failure: ProviderError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#cancelDeadline();
    this.#settleDoubt();
    const ws = this.#ws;
    ws.onopen = ws.onmessage = ws.onclose = null;
    ws.close();
    this.#ended.resolve(failure);
  }

  #watchSilence(ms: number): void {
    this.#cancelDeadline = this.#world.after(ms, () => {
      const left = this.#heardAt + SILENCE_MS - this.#world.uptime();
      if (left > 0) this.#watchSilence(left);
      else this.end("Nothing was heard from the service for half a minute.");
    });
  }

  #settleDoubt(): void {
    this.#cancelDoubt?.();
    this.#cancelDoubt = null;
  }
}

/** `WebSocket.OPEN`, which not every implementation has. */
const OPEN = 1;
