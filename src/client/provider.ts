import { Awareness } from "y-protocols/awareness";
import { type Doc, encodeStateVector } from "yjs";
import { Backoff } from "./backoff.ts";
import { Bell } from "./bell.ts";
import { isDenial, isRenewal, setback } from "./endings.ts";
import { Connection } from "./connection.ts";
import { asFailure, ProviderError, sentence } from "./failure.ts";
import { Gate } from "./gate.ts";
import { Outbox } from "./outbox.ts";
import { type Peer, peersOf } from "./peers.ts";
import { Presence, quietly } from "./presence.ts";
import type { GetTicket, Role, Ticket } from "./tickets.ts";
import { readMessage, step1Frame } from "./wire.ts";
import { type Sign, thisWorld, type World } from "./world.ts";

/** How long one waits for a ticket, in ms: two calls, one of them by way of a PDS. */
const TICKET_PATIENCE = 15_000;

/** The state vector of an empty document. */
const EMPTY = new Uint8Array([0]);

/** The same in the words of y-websocket. */
const STOCK = {
  connecting: "connecting",
  online: "connected",
  offline: "disconnected",
  denied: "disconnected",
} as const satisfies Record<Status, string>;

/** The close code of an edit under an id that something else has. */
const CONFLICT = 4409;

const CONFLICT_WORDS =
  "This document was also edited elsewhere as if from here. Both edits were kept.";

/** The close code of a message that is too large. */
const TOO_LARGE = 1009;

const INCOMPLETE =
  "Some edits that this document builds on were never sent. All others are in sync.";

/** A connection that has held for so long has not failed when it ends, in ms. */
const STEADY = 10_000;

/**
 * - `connecting`: on its way for the first time, or with a new ticket
 * - `online`: connected, and the document is as the service has it
 * - `offline`: not connected; unless that was asked for, it is tried again
 * - `denied`: the service has said no, and is not asked again before {@linkcode TesseraProvider.connect}
 */
export type Status = "connecting" | "online" | "offline" | "denied";

/** What a {@linkcode TesseraProvider} tells of, by an event without details: the news is its property. */
export type ProviderEvent = "status" | "role" | "saved" | "peers" | "error";

/** What {@linkcode TesseraProvider.on} takes: the events of y-websocket, for editors, and the others. */
export interface ProviderListeners {
  /** In the words of y-websocket. */
  status(event: { status: "connected" | "connecting" | "disconnected" }): void;
  /** Whether the document is as the service has it. */
  sync(isSynced: boolean): void;
  role(): void;
  saved(): void;
  peers(): void;
  error(): void;
  /** It never happens. Lexical wants to listen to it. */
  update(update: unknown): void;
  /** It never happens: the document stays the same. Lexical wants to listen to it. */
  reload(doc: Doc): void;
}

/** How a {@linkcode TesseraProvider} is set up. */
export interface ProviderOptions {
  /** The address of the service, as in `https://sync.example.com` or `https://example.com/sync`. */
  endpoint: string;
  /** Gets a ticket: `serviceAuth(agent)`, `viaProxy(agent)`, `devToken(...)`, or a way of yours. */
  getTicket: GetTicket;
  /** Who is here, for editors that have an `Awareness` already. */
  awareness?: Awareness;
  /** Whether it connects at once. By default it does. */
  connect?: boolean;
}

/**
 * Keeps a Yjs document in sync with a room of a Tessera service.
 *
 * ```ts ignore
 * const doc = new Y.Doc();
 * const provider = new TesseraProvider("notes", doc, {
 *   endpoint: "https://sync.example.com",
 *   getTicket: serviceAuth(agent),
 * });
 * provider.addEventListener("status", () => console.log(provider.status));
 * doc.getText("text").insert(0, "Hello");
 * await provider.saved(); // it is on the service's disk
 * ```
 *
 * It gets a ticket for each connection, comes back when it was lost, and stops when it is told that it
 * may not be here.
 */
export class TesseraProvider extends EventTarget {
  /** Who is here, as editors want it. Each state's `did` is the service's word. */
  readonly awareness: Awareness;
  readonly #getTicket: (signal: AbortSignal) => Promise<Ticket>;
  readonly #endpoint: string;
  readonly #url: string;
  readonly #outbox: Outbox;
  readonly #presence: Presence;
  #connection: Connection | null = null;
  readonly #gate: Gate;
  readonly #backoff: Backoff;
  readonly #changed = new Bell();
  readonly #life = new AbortController();
  #stay: AbortController | null = null;
  #onlineSince = Infinity;
  #status: Status = "offline";
  #role: Role | null = null;
  #did: string | null = null;
  #error: ProviderError | null = null;
  #hadUnsaved = false;
  #isIncomplete = false;
  /** Who listens by {@linkcode on}. */
  readonly #listeners: { [E in keyof ProviderListeners]?: Map<unknown, () => void> } = {};
  /** Somebody hears of what goes wrong. */
  #isHeard = false;
  /** What was last said of it to a developer instead. */
  #warned = "";
  /** The service has something else than we under the same id: closed with 4409. */
  #isDisputed = false;
  /** In a dispute, what the service has, as far as it has come; and what it said to have. */
  #theirs: Uint8Array[] | null = null;
  #asked: Uint8Array | null = null;
  /** The service has rejected something on this connection. */
  #wasRefused = false;

  /**
   * Joins a room, and connects unless told not to.
   * @param world For tests: a clock, a network and chances of their own.
   * @throws {TypeError} the endpoint is no URL, or there is no WebSocket here
   */
  constructor(
    /** The name of the room. */
    readonly room: string,
    /** What is kept in sync with it. */
    readonly doc: Doc,
    { endpoint, getTicket, awareness, connect = true }: ProviderOptions,
    private readonly world: World = thisWorld,
  ) {
    super();
    const { origin, pathname } = new URL(endpoint);
    const base = origin + pathname.replace(/\/+$/, "");
    void world.WebSocket; // throws where there is none
    this.awareness = awareness ?? new Awareness(doc);
    this.#endpoint = base;
    this.#url = `${base.replace(/^http/, "ws")}/sync/${encodeURIComponent(room)}`;
    this.#getTicket = (signal) => getTicket({ endpoint: base, room, signal });
    this.#gate = Gate.to(base, world);
    this.#backoff = new Backoff(world);
    this.#outbox = new Outbox(doc, this, world, {
      changed: () => this.#noteSaved(),
      late: () => this.#doubt(),
    });
    this.#presence = new Presence(this.awareness, () => this.#tell("peers"));
    this.#hadUnsaved = this.hasUnsavedChanges;

    const { signal } = this.#life;
    const destroy = () => this.destroy();
    const follow = () => this.#presence.follow();
    doc.on("destroy", destroy);
    doc.on("afterTransactionCleanup", follow);
    const unwatch = world.watch((sign) => this.#heed(sign));
    signal.addEventListener("abort", () => {
      unwatch();
      doc.off("destroy", destroy);
      doc.off("afterTransactionCleanup", follow);
      this.#outbox.destroy();
      this.#presence.destroy();
      if (awareness === undefined) quietly(() => this.awareness.destroy());
    });
    if (connect) this.connect();
  }

  /** How it stands with the connection. Event: `status`. */
  get status(): Status {
    return this.#status;
  }

  /** What the user may do here; null while that is not known, or nothing. Event: `role`. */
  get role(): Role | null {
    return this.#role;
  }

  /** Who the user is to the service; null before it was asked for the first time. */
  get did(): string | null {
    return this.#did;
  }

  /**
   * Whether something may be lost with this device: the service has not yet said that it is on disk.
   * Event: `saved`, when it changes. What a reader has only read does not count.
   */
  get hasUnsavedChanges(): boolean {
    return this.#role === "reader" ? this.#outbox.isOwnPending : this.#outbox.isPending;
  }

  /** The others who are here. Event: `peers`. */
  get peers(): Peer[] {
    return peersOf(this.awareness);
  }

  /** What went wrong last, in words that a user may read; null once it is online again. Event: `error`. */
  get error(): ProviderError | null {
    return this.#error;
  }

  /** Connects, if it is not connected; also after it was told that it may not. */
  connect(): void {
    this.#life.signal.throwIfAborted();
    if (this.#stay !== null) return;
    this.#stay = new AbortController();
    this.#wake(false);
    this.#setStatus("connecting");
    this.#stayConnected(this.#stay.signal);
  }

  /** Disconnects, and stays so. */
  disconnect(): void {
    this.#leave();
    this.#setStatus("offline");
  }

  /** Disconnects, and lets go of everything. The document is the app's, and stays. It never throws. */
  destroy(): void {
    if (this.#life.signal.aborted) return;
    this.disconnect();
    this.#life.abort(new ProviderError("Destroyed", "The document was closed."));
  }

  /**
   * Resolves once everything in the document is on the service's disk. It waits as long as the service
   * cannot be reached: an `AbortSignal` limits that.
   * @throws {ProviderError} it will not be saved: denied, a reader's, too large, or the provider is destroyed
   * @throws what the signal is aborted with
   */
  async saved({ signal }: { signal?: AbortSignal } = {}): Promise<void> {
    const { signal: life } = this.#life;
    const either = signal === undefined ? life : AbortSignal.any([life, signal]);
    while (this.hasUnsavedChanges) {
      if (this.#status === "denied") throw this.#error;
      if (this.#role === "reader") {
        throw new ProviderError("NotAllowed", "You can view this document, but not edit it.");
      }
      if (this.#outbox.tooLarge !== null) throw tooLarge(this.#outbox.tooLarge);
      await this.#changed.wait(this.world, Infinity, either);
    }
  }

  /** Calls a listener whenever something happens, as y-websocket does it; editors need that. */
  on<E extends keyof ProviderListeners>(type: E, listener: ProviderListeners[E]): void {
    const known = this.#listeners[type] ??= new Map();
    if (known.has(listener)) return;
    const call = () => {
      const { status } = this;
      if (type === "status") (listener as ProviderListeners["status"])({ status: STOCK[status] });
      else if (type === "sync") (listener as ProviderListeners["sync"])(status === "online");
      else (listener as () => void)();
    };
    known.set(listener, call);
    this.addEventListener(type as ProviderEvent, call);
  }

  /** Ends what {@linkcode on} began. */
  off<E extends keyof ProviderListeners>(type: E, listener: ProviderListeners[E]): void {
    const known = this.#listeners[type];
    this.removeEventListener(type as ProviderEvent, known?.get(listener) ?? null);
    known?.delete(listener);
  }

  /** As every `EventTarget` does it, for what there is to tell. */
  override addEventListener(
    type: ProviderEvent,
    listener: EventListenerOrEventListenerObject | null,
    options?: AddEventListenerOptions | boolean,
  ): void {
    if (type === "error" || type === "status") this.#isHeard = true;
    super.addEventListener(type, listener, options);
  }

  /** As every `EventTarget` does it. */
  override removeEventListener(
    type: ProviderEvent,
    listener: EventListenerOrEventListenerObject | null,
    options?: EventListenerOptions | boolean,
  ): void {
    super.removeEventListener(type, listener, options);
  }

  async #stayConnected(signal: AbortSignal): Promise<void> {
    while (true) {
      const failure = await this.#session(signal).catch((e) => asFailure(e, this.#endpoint));
      if (signal.aborted) return;
      this.#hangUp();
      this.#isDisputed ||= failure.code === CONFLICT;
      if (failure.code === TOO_LARGE && !this.#wasRefused) this.#outbox.refused();
      this.#setError(failure);
      if (isDenial(failure)) return this.#deny();
      this.#goOffline(failure);
    }
  }

  /** One connection, from the wait before it until it has ended: why it has. */
  async #session(signal: AbortSignal): Promise<ProviderError> {
    await this.#backoff.due(signal);
    await this.#gate.enter(signal);
    let connection: Connection;
    try {
      this.#backoff.tried();
      const ticket = await this.#ticket(signal);
      signal.throwIfAborted(); // it may have come just as somebody disconnected
      this.#did = ticket.did;
      this.#setRole(ticket.role);
      connection = this.#open(ticket.protocols);
      await connection.opened();
    } finally {
      this.#gate.leave();
    }
    return await connection.ended;
  }

  async #ticket(signal: AbortSignal): Promise<Ticket> {
    const late = new AbortController();
    const words = `The service at ${this.#endpoint} did not answer.`;
    const cancel = this.world.after(
      TICKET_PATIENCE,
      () => late.abort(new ProviderError("Unreachable", words)),
    );
    const either = AbortSignal.any([signal, late.signal]);
    try {
      const ticket = await Promise.race([this.#getTicket(either), aborted(either)]);
      if (!Array.isArray(ticket?.protocols)) {
        throw new ProviderError("NoTicket", "The app got no ticket for this document.");
      }
      this.#gate.backoff.succeeded();
      return ticket;
    } catch (error) {
      const failure = asFailure(error, this.#endpoint);
      if (isDenial(failure)) this.#gate.backoff.succeeded(); // it has answered
      else if (!signal.aborted) this.#gate.backoff.failed(setback(failure));
      throw failure;
    } finally {
      cancel();
    }
  }

  #open(protocols: string[]): Connection {
    this.#wasRefused = false;
    const hear = (frame: Uint8Array) => {
      try {
        this.#hear(frame);
      } catch (cause) {
        console.error("The service sent what this client cannot read:", cause);
        connection.end("The service sent something that cannot be read.");
      }
    };
    const begin = () => this.#begin(connection);
    const connection = new Connection(this.#url, protocols, this.world, begin, hear);
    return this.#connection = connection;
  }

  #begin(connection: Connection): void {
    // In a dispute one asks for everything, to see what the service has in the place of ours.
    this.#theirs = this.#isDisputed ? [] : null;
    this.#asked = null;
    if (this.#theirs === null) this.#outbox.attach(connection);
    connection.send(step1Frame(this.#isDisputed ? EMPTY : this.#outbox.stateVector));
    this.#presence.join((frame) => connection.send(frame));
  }

  #hear(frame: Uint8Array): void {
    const message = readMessage(frame);
    this.#presence.follow();
    switch (message?.type) {
      case "step1":
        if (this.#theirs !== null) this.#asked = message.stateVector;
        else this.#outbox.answer(message.stateVector);
        break;
      case "update":
      case "step2":
        if (this.#theirs !== null) this.#theirs.push(message.update);
        else if (this.#outbox.contradicts(message.update)) {
          return this.#connection?.end(CONFLICT_WORDS, CONFLICT);
        } else this.#outbox.apply(message.update);
        if (message.type === "step2") this.#settle();
        break;
      case "awareness":
        this.#presence.hear(message.entries);
        break;
      case "queryAwareness":
        this.#presence.show();
        break;
      case "probe":
        this.#connection?.settled();
        this.#outbox.acknowledged(message.n);
        break;
      case "role":
        this.#setRole(message.role as Role);
        break;
      case "denied":
        this.#wasRefused = true;
        this.#setError(new ProviderError("NotAllowed", sentence(message.reason)));
    }
    this.#checkComplete();
  }

  /** The document is as the service has it, once a dispute is settled. */
  #settle(): void {
    const theirs = this.#theirs;
    this.#theirs = null;
    this.#goOnline();
    if (theirs === null) return;
    this.#isDisputed = false;
    const hadConflict = this.#outbox.resolve(theirs);
    theirs.forEach((update) => this.#outbox.apply(update));
    this.#outbox.attach(this.#connection!);
    if (this.#asked !== null) this.#outbox.answer(this.#asked);
    if (hadConflict) this.#setError(new ProviderError("Conflict", CONFLICT_WORDS));
  }

  /** Says once for each connection that the document refers to edits that nobody has. */
  #checkComplete(): void {
    if (this.#status !== "online") return;
    const { isIncomplete } = this.#outbox;
    if (isIncomplete === this.#isIncomplete) return;
    this.#isIncomplete = isIncomplete;
    if (isIncomplete) this.#setError(new ProviderError("Incomplete", INCOMPLETE));
    else if (this.#error?.name === "Incomplete") this.#error = null;
  }

  #goOnline(): void {
    if (this.#status === "online") return;
    this.#isIncomplete = false;
    this.#onlineSince = this.world.uptime();
    if (this.#outbox.tooLarge === null) this.#error = null;
    this.#setStatus("online");
  }

  #goOffline(failure: ProviderError): void {
    const wasSteady = this.world.uptime() - this.#onlineSince >= STEADY;
    const blow = setback(failure);
    this.#onlineSince = Infinity;
    if (wasSteady && !blow.isSlower) this.#backoff.succeeded();
    if (wasSteady && isRenewal(failure)) return this.#setStatus("connecting");
    this.#backoff.failed(blow);
    this.#setStatus("offline");
  }

  #deny(): void {
    this.#stay = null;
    this.#onlineSince = Infinity;
    this.#backoff.succeeded(); // whoever asks again has a reason
    this.#setRole(null);
    this.#setStatus("denied");
  }

  #leave(): void {
    this.#stay?.abort(new ProviderError("Closed", "The app disconnected."));
    this.#stay = null;
    this.#onlineSince = Infinity;
    this.#hangUp();
  }

  /** There is no connection any more. */
  #hangUp(): void {
    this.#presence.leave();
    this.#outbox.detach();
    this.#connection?.end("The app disconnected.");
    this.#connection = null;
  }

  #doubt(): void {
    this.#connection?.doubt(step1Frame(encodeStateVector(this.doc)));
  }

  #heed(sign: Sign): void {
    this.#doubt();
    if (sign !== "offline") this.#wake(sign === "online");
  }

  #wake(afresh: boolean): void {
    this.#gate.backoff.wake(afresh);
    this.#backoff.wake(afresh);
  }

  #setStatus(status: Status): void {
    if (this.#status === status) return;
    const isSyncNews = (this.#status === "online") !== (status === "online");
    this.#status = status;
    this.#tell("status");
    if (isSyncNews && this.#status === status) this.#tell("sync");
  }

  #setRole(role: Role | null): void {
    if (this.#role === role) return;
    this.#role = role;
    this.#tell("role");
    this.#noteSaved();
  }

  #setError(error: ProviderError): void {
    if (!this.#isHeard && error.message !== this.#warned) this.world.warn(error.message);
    this.#warned = error.message;
    this.#error = error;
    this.#tell("error");
  }

  #noteSaved(): void {
    const { tooLarge: bytes } = this.#outbox;
    if (bytes === null && this.#error?.name === "TooLarge") this.#error = null;
    if (bytes !== null && this.#error?.name !== "TooLarge") this.#setError(tooLarge(bytes));
    if (this.#hadUnsaved === this.hasUnsavedChanges) return;
    this.#hadUnsaved = this.hasUnsavedChanges;
    this.#tell("saved");
  }

  #tell(type: ProviderEvent | "sync"): void {
    this.#changed.ring();
    this.dispatchEvent(new Event(type));
  }
}

function tooLarge(bytes: number): ProviderError {
  const megabytes = (bytes / 1_000_000).toFixed(1);
  const words = `A part of this document (${megabytes} MB) is larger than the service accepts. ` +
    "It is not saved, and neither is what builds on it.";
  return new ProviderError("TooLarge", words);
}

/** Rejects when it is. */
function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason));
  });
}
