import { Awareness } from "y-protocols/awareness";
import type { Doc } from "yjs";
import { Backoff } from "./backoff.ts";
import { Bell } from "./bell.ts";
import { isDenial, isRenewal, setback } from "./endings.ts";
import { asFailure, ProviderError } from "./failure.ts";
import { Gate } from "./gate.ts";
import { Line } from "./line.ts";
import { type Peer, peersOf } from "./peers.ts";
import { Saving } from "./saving.ts";
import type { GetTicket, Role, Ticket } from "./tickets.ts";
import type { Auth } from "./wire.ts";
import { type Sign, thisWorld, type World } from "./world.ts";

/** How long one waits for a ticket, in ms: two calls, one of them by way of a PDS. */
const TICKET_PATIENCE = 15_000;

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

/** How a {@linkcode TesseraProvider} is set up. */
export interface ProviderOptions {
  /** The origin of the service, as in `https://sync.example.com`. */
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
  readonly #line: Line;
  readonly #saving: Saving;
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
    const { origin } = new URL(endpoint);
    this.awareness = awareness ?? new Awareness(doc);
    this.#getTicket = (signal) => getTicket({ endpoint: origin, room, signal });
    this.#gate = Gate.to(origin, world);
    this.#backoff = new Backoff(world);
    const url = `${origin.replace(/^http/, "ws")}/sync`;
    this.#line = new Line(url, room, doc, this.awareness, world, {
      synced: () => this.#goOnline(),
      answered: () => this.#saving.answered(),
      acknowledged: (probe) => this.#saving.acknowledged(probe),
      told: (auth) => this.#hear(auth),
    });
    this.#saving = new Saving(doc, this.#line, world, () => this.#noteSaved());
    this.#hadUnsaved = this.hasUnsavedChanges;

    const { signal } = this.#life;
    const onPeers = () => this.#tell("peers");
    const destroy = () => this.destroy();
    this.awareness.on("change", onPeers);
    doc.on("destroy", destroy);
    const unwatch = world.watch((sign) => this.#heed(sign));
    signal.addEventListener("abort", () => {
      unwatch();
      doc.off("destroy", destroy);
      this.awareness.off("change", onPeers);
      if (awareness === undefined) this.awareness.destroy();
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
    return this.#role === "reader" ? this.#saving.isOwnPending : this.#saving.isPending;
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

  /** Disconnects, and lets go of everything. The document is the app's, and stays. */
  destroy(): void {
    if (this.#life.signal.aborted) return;
    this.disconnect();
    this.#saving.destroy();
    this.#line.destroy();
    this.#life.abort(new ProviderError("Destroyed", "The provider was destroyed."));
  }

  /**
   * Resolves once everything in the document is on the service's disk.
   * @throws {ProviderError} it will not be: denied, a reader's, or the provider is destroyed
   */
  async saved(): Promise<void> {
    while (this.hasUnsavedChanges) {
      if (this.#status === "denied") throw this.#error;
      if (this.#role === "reader") {
        throw new ProviderError("NotAllowed", "You may read this room, and not write in it.");
      }
      await this.#changed.wait(this.world, Infinity, this.#life.signal);
    }
  }

  /** As every `EventTarget` does it, for what there is to tell. */
  override addEventListener(
    type: ProviderEvent,
    listener: EventListenerOrEventListenerObject | null,
    options?: AddEventListenerOptions | boolean,
  ): void {
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
      const failure = await this.#session(signal).catch(asFailure);
      if (signal.aborted) return;
      this.#saving.ended();
      this.#setError(failure);
      if (isDenial(failure)) return this.#deny();
      this.#goOffline(failure);
    }
  }

  /** One connection, from the wait before it until it has ended: why it has. */
  async #session(signal: AbortSignal): Promise<ProviderError> {
    await this.#backoff.due(signal);
    await this.#gate.enter(signal);
    try {
      this.#backoff.tried();
      const ticket = await this.#ticket(signal);
      signal.throwIfAborted(); // it may have come just as somebody disconnected
      this.#did = ticket.did;
      this.#setRole(ticket.role);
      await this.#line.open(ticket.protocols);
    } finally {
      this.#gate.leave();
    }
    return await this.#line.ended;
  }

  async #ticket(signal: AbortSignal): Promise<Ticket> {
    const late = new AbortController();
    const words = "The service did not answer.";
    const cancel = this.world.after(
      TICKET_PATIENCE,
      () => late.abort(new ProviderError("Unreachable", words)),
    );
    const either = AbortSignal.any([signal, late.signal]);
    try {
      const ticket = await Promise.race([this.#getTicket(either), aborted(either)]);
      if (!Array.isArray(ticket?.protocols)) {
        throw new ProviderError("NoTicket", "What getTicket resolved with is no ticket.");
      }
      this.#gate.backoff.succeeded();
      return ticket;
    } catch (error) {
      const failure = asFailure(error);
      if (isDenial(failure)) this.#gate.backoff.succeeded(); // it has answered
      else if (!signal.aborted) this.#gate.backoff.failed(setback(failure));
      throw failure;
    } finally {
      cancel();
    }
  }

  #goOnline(): void {
    this.#onlineSince = this.world.uptime();
    this.#error = null;
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
    this.#stay?.abort(new ProviderError("Closed", "Disconnected."));
    this.#stay = null;
    this.#onlineSince = Infinity;
    this.#line.end("Disconnected.");
    this.#saving.ended();
  }

  #heed(sign: Sign): void {
    this.#line.doubt();
    if (sign !== "offline") this.#wake(sign === "online");
  }

  #wake(afresh: boolean): void {
    this.#gate.backoff.wake(afresh);
    this.#backoff.wake(afresh);
  }

  #hear(auth: Auth): void {
    if ("role" in auth) this.#setRole(auth.role as Role);
    else this.#setError(new ProviderError("NotAllowed", auth.denied));
  }

  #setStatus(status: Status): void {
    if (this.#status === status) return;
    this.#status = status;
    this.#tell("status");
  }

  #setRole(role: Role | null): void {
    if (this.#role === role) return;
    this.#role = role;
    this.#tell("role");
    this.#noteSaved();
  }

  #setError(error: ProviderError): void {
    this.#error = error;
    this.#tell("error");
  }

  #noteSaved(): void {
    if (this.#hadUnsaved === this.hasUnsavedChanges) return;
    this.#hadUnsaved = this.hasUnsavedChanges;
    this.#tell("saved");
  }

  #tell(type: ProviderEvent): void {
    this.#changed.ring();
    this.dispatchEvent(new Event(type));
  }
}

/** Rejects when it is. */
function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason));
  });
}
