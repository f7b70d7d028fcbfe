import * as decoding from "lib0/decoding";
import type { Dialect } from "./dialect.ts";
import { EMPTY_STEP_2, PROBE, step1, STEP_1, SYNC } from "./messages.ts";
import { type Address, RawSocket } from "./raw_socket.ts";
import { readSpans } from "./spans.ts";

/** hocuspocus's own SyncReply: a sync message that wants no step 1 in return. */
const SYNC_REPLY = 4;

/** What a client needs to know of a server. */
export interface Place {
  dialect: Dialect;
  address(room: string): Address;
}

/** Told how a client learnt of the characters `from` up to, and without, `to` of a writer. */
export type OnNews = (writer: number, from: number, to: number) => void;

/** One connection to one room, without a document: it knows how far it has each writer's text. */
export class Client {
  onNews: OnNews = () => {};
  /** Told the number of a probe that came back. */
  onEcho: (n: number) => void = () => {};
  /** Takes a copy of each update; null to do without. */
  kept: Uint8Array[] | null = null;
  /** Why it is of no more use; what is measured with it is void. */
  fault: string | null = null;
  readonly #joined = Promise.withResolvers<void>();

  private constructor(
    private readonly socket: RawSocket,
    private readonly dialect: Dialect,
    private readonly room: string,
    /** How far it has the text of each writer. */
    readonly known: Map<number, number>,
  ) {
    socket.onMessage = (frame) => this.#hear(dialect.unwrap(frame));
    socket.onLost = (why) => this.#fail(why);
  }

  /** Opens a socket and asks for what is not `known`. */
  static async open(
    place: Place,
    room: string,
    known: Map<number, number> = new Map(),
  ): Promise<Client> {
    const socket = await RawSocket.open(place.address(room));
    const client = new Client(socket, place.dialect, room, known);
    for (const frame of place.dialect.hello(room)) socket.send(frame);
    if (place.dialect.syncs) client.send(step1(known));
    socket.listen();
    return client;
  }

  /** Opens a socket, and waits until the server has answered with what it has. */
  static async join(place: Place, room: string): Promise<Client> {
    const client = await Client.open(place, room);
    if (place.dialect.syncs) await client.#joined.promise;
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
      if (type === PROBE) {
        const echo = decoding.createDecoder(decoding.readVarUint8Array(decoder));
        this.onEcho(decoding.readVarUint(echo));
      }
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
