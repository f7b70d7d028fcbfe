import * as decoding from "lib0/decoding";
import type { Awareness } from "y-protocols/awareness";
import { WebsocketProvider } from "y-websocket";
import type { Doc } from "yjs";
import { ProviderError } from "./failure.ts";
import { asksForMore, AUTH, type Auth, PROBE, readAuth, step1Frame, SYNC } from "./wire.ts";
import type { World } from "./world.ts";

/** How long a line may take to open, in ms. */
const OPENING = 15_000;

/** Why not, no browser tells. */
const NOT_OPENED = "The service opened no connection.";

/** How long a line in doubt may be silent, in ms: it was asked something that is answered at once. */
const DOUBT = 5_000;

/** What may be on its way before the answer to a question is late for that alone, in bytes. */
const LIGHT = 64 * 1_024;

/** Who hears what comes over a line. */
export interface Listener {
  /** The document is as the service has it. */
  synced(): void;
  /** The service asked for what it lacks, and it was sent. */
  answered(): void;
  /** Everything before this probe is durable. */
  acknowledged(probe: number): void;
  told(auth: Auth): void;
}

/** A stock y-websocket provider that connects when it is told to, and only then. */
export class Line {
  readonly #stock: WebsocketProvider;
  #opened = Promise.withResolvers<void>();
  #ended = Promise.withResolvers<ProviderError>();
  /** Why it is ended from this side. */
  #why = "";
  #heard = 0;
  /** Bytes that were sent since the service last said that it has got everything. */
  #underWay = 0;
  #inDoubt = false;

  /** @param url Where the rooms are, as in `wss://sync.example.com/sync`. */
  constructor(
    url: string,
    room: string,
    private readonly doc: Doc,
    awareness: Awareness,
    private readonly world: World,
    listener: Listener,
  ) {
    this.#stock = new WebsocketProvider(url, encodeURIComponent(room), doc, {
      awareness,
      connect: false,
      // Another tab's word would count as the service's: on who somebody is, and on what is saved.
      disableBc: true,
      // What it plans when it loses its connection comes to nothing (see below): then not later.
      maxBackoffTime: 0,
      WebSocketPolyfill: world.WebSocket,
    });
    this.#stock.on("status", ({ status }) => status === "connected" && this.#begin());
    this.#stock.on("connection-close", (event) => this.#end(event));
    this.#stock.on("sync", (isSynced) => isSynced && listener.synced());
    this.#listen(listener);
  }

  /** The origin of the updates that have come over it. */
  get origin(): object {
    return this.#stock;
  }

  /** Resolves with the reason when it has ended. */
  get ended(): Promise<ProviderError> {
    return this.#ended.promise;
  }

  /** Opens it. @throws {ProviderError} it could not be opened */
  async open(protocols: string[]): Promise<void> {
    this.#opened = Promise.withResolvers();
    this.#ended = Promise.withResolvers();
    this.#why = "Nothing was heard of the service for half a minute.";
    const cancel = this.world.after(OPENING, () => this.end(NOT_OPENED));
    try {
      this.#connect(protocols);
      const failure = await Promise.race([this.#opened.promise, this.#ended.promise]);
      if (failure) throw failure;
    } finally {
      this.#stock.protocols = [];
      cancel();
    }
  }

  #connect(protocols: string[]): void {
    this.#stock.protocols = protocols;
    try {
      this.#stock.connect();
    } catch (error) {
      // No WebSocket may go there: a page over https, and an endpoint that is not.
      throw new ProviderError("Unreachable", (error as Error).message, { cause: error });
    }
  }

  /** Ends it, with a goodbye if anybody hears it. */
  end(why: string): void {
    this.#why = why;
    this.#stock.disconnect();
  }

  /**
   * Asks for something, and ends it unless something comes. Not while much is under way: on a slow line
   * the question itself would take long, and y-websocket looks every half minute anyway.
   */
  doubt(): void {
    if (this.#inDoubt || !this.#stock.wsconnected || this.#underWay > LIGHT) return;
    this.#inDoubt = true;
    const before = this.#heard;
    const { ended } = this;
    const cancel = this.world.after(DOUBT, () => {
      this.#inDoubt = false;
      if (this.#heard === before) this.end("The service did not answer.");
    });
    ended.then(() => {
      this.#inDoubt = false;
      cancel();
    });
    this.send(step1Frame(this.doc));
  }

  /** Sends a frame, if there is somebody to send it to. */
  send(frame: Uint8Array<ArrayBuffer>): void {
    if (this.#stock.wsconnected) this.#stock.ws?.send(frame);
  }

  destroy(): void {
    this.#stock.destroy();
  }

  #begin(): void {
    const ws = this.#stock.ws!;
    const send = ws.send.bind(ws);
    this.#underWay = 0;
    ws.send = (frame) => {
      this.#underWay += (frame as Uint8Array).byteLength;
      send(frame);
    };
    this.#opened.resolve();
  }

  #end(event: CloseEvent | null): void {
    // Or it would come back by itself, with a ticket that is spent.
    this.#stock.shouldConnect = false;
    const { code, reason } = event ?? { code: undefined, reason: this.#why };
    const words = this.#stock.wsconnected ? "The connection was lost." : NOT_OPENED;
    this.#ended.resolve(new ProviderError("Closed", reason || words, { code }));
  }

  #listen(listener: Listener): void {
    const handlers = this.#stock.messageHandlers;
    const sync = handlers[SYNC]!;
    handlers[SYNC] = (encoder, decoder, ...rest) => {
      const isAsked = asksForMore(decoder);
      sync(encoder, decoder, ...rest);
      // Its answer goes out as soon as this returns.
      if (isAsked) queueMicrotask(() => listener.answered());
    };
    handlers[AUTH] = (_, decoder) => {
      const auth = readAuth(decoder);
      if (auth !== null) listener.told(auth);
    };
    handlers[PROBE] = (_, decoder) => {
      this.#underWay = 0;
      listener.acknowledged(decoding.readVarUint(decoder));
    };
    handlers.forEach((handle, type) => {
      handlers[type] = (...message) => {
        this.#heard++;
        handle(...message);
      };
    });
  }
}
