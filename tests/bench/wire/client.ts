import * as decoding from "lib0/decoding";
import type { Dialect } from "./dialect.ts";
import { EMPTY_STEP_2, step1, STEP_1, SYNC } from "./messages.ts";
import { type Address, RawSocket } from "./raw_socket.ts";
import { readSpans } from "./spans.ts";

/** hocuspocus's own SyncReply: a sync message that wants no step 1 in return. */
const SYNC_REPLY = 4;

/** What a client needs to know of a server. */
export interface Place {
  dialect: Dialect;
  address(room: string): Address;
}

/** With what a client comes. */
export interface JoinOptions {
  /** How far it has the text of each writer already. */
  known?: Map<number, number>;
  /** Whether it keeps the updates that it hears. */
  keeps?: boolean;
}

/** Told how a client learnt of the characters `from` up to, and without, `to` of a writer. */
export type OnNews = (writer: number, from: number, to: number) => void;

/** One connection to one room, without a document: it knows how far it has each writer's text. */
export class Client {
  onNews: OnNews = () => {};
  /** Why it is of no more use; what is measured with it is void. */
  fault: string | null = null;
  readonly #joined = Promise.withResolvers<void>();

  private constructor(
    private readonly socket: RawSocket,
    private readonly dialect: Dialect,
    private readonly room: string,
    /** How far it has the text of each writer. */
    readonly known: Map<number, number>,
    /** A copy of each update that it heard; null when nobody wants them. */
    readonly kept: Uint8Array[] | null,
  ) {
    socket.onMessage = (frame) => this.#hear(dialect.unwrap(frame));
    socket.onLost = (why) => this.#fail(why);
  }

  /** Opens a socket, asks for what it does not know, and waits until the server has answered. */
  static async join(place: Place, room: string, options: JoinOptions = {}): Promise<Client> {
    const { known = new Map(), keeps = false } = options;
    const { dialect } = place;
    const socket = await RawSocket.open(place.address(room));
    const client = new Client(socket, dialect, room, known, keeps ? [] : null);
    for (const frame of dialect.hello(room)) socket.send(frame);
    if (dialect.syncs) client.send(step1(known));
    socket.listen();
    if (dialect.syncs) await client.#joined.promise;
    return client;
  }

  /** Sends a message of y-protocols. */
  send(message: Uint8Array): void {
    this.socket.send(this.dialect.wrap(this.room, message));
  }

  /** Whether it has a writer's text up to there. */
  has(writer: number, clock: number): boolean {
    return (this.known.get(writer) ?? 0) >= clock;
  }

  close(): void {
    this.socket.close();
  }

  #fail(why: string): void {
    this.fault ??= why;
    this.#joined.reject(new Error(why));
    this.#joined.promise.catch(() => {}); // not everyone waits for it
    this.socket.close();
  }

  #hear(message: Uint8Array): void {
    try {
      const decoder = decoding.createDecoder(message);
      const type = decoding.readVarUint(decoder);
      if (type === SYNC || type === SYNC_REPLY) this.#sync(decoder);
    } catch (error) {
      this.#fail(String(error));
    }
  }

  #sync(decoder: decoding.Decoder): void {
    const step = decoding.readVarUint(decoder);
    // A client that has nothing says so; it never has news of its own when it joins.
    if (step === STEP_1) return this.send(EMPTY_STEP_2);
    const update = decoding.readVarUint8Array(decoder);
    this.kept?.push(update.slice());
    readSpans(update, this.#learn);
    this.#joined.resolve();
  }

  readonly #learn = (writer: number, from: number, to: number): void => {
    const known = this.known.get(writer) ?? 0;
    if (from > known) throw new Error(`characters ${known} to ${from} of ${writer} did not come`);
    if (to <= known) return;
    this.known.set(writer, to);
    this.onNews(writer, known, to);
  };
}
