import type { Sign, Ticket, World } from "../../src/client/mod.ts";
import { systemClock } from "../../src/clock.ts";
import { FakeClock } from "../fake_clock.ts";
import { Chance } from "../sim/chance.ts";

/** A world in which time passes when it is told to, and every socket does as a test says. */
export class FakeWorld implements World {
  readonly #clock = new FakeClock();
  readonly #watchers = new Set<(sign: Sign) => void>();
  readonly #chance: Chance;
  /** Every socket that was ever asked for, and when. */
  readonly sockets: FakeSocket[] = [];
  /** What becomes of a new one. */
  onSocket: (socket: FakeSocket) => void = () => {};
  readonly WebSocket: typeof WebSocket;

  constructor(seed = 1) {
    this.#chance = new Chance(seed);
    const add = (socket: FakeSocket) => {
      this.sockets.push(socket);
      // As a browser does it: nothing happens before whoever made it has had a look at it.
      queueMicrotask(() => this.onSocket(socket));
    };
    const after = this.after.bind(this);
    this.WebSocket = class extends FakeSocket {
      constructor(url: string, protocols: string[]) {
        super(url, [...protocols], after);
        add(this);
      }
    } as unknown as typeof WebSocket;
  }

  uptime(): number {
    return this.#clock.uptime();
  }

  after(ms: number, callback: () => void): () => void {
    return this.#clock.after(ms, callback);
  }

  random(): number {
    return this.#chance.next();
  }

  watch(onSign: (sign: Sign) => void): () => void {
    this.#watchers.add(onSign);
    return () => this.#watchers.delete(onSign);
  }

  /** What developers were told. */
  readonly warnings: string[] = [];

  warn(words: string): void {
    this.warnings.push(words);
  }

  /** How many providers look at the network. */
  get watchers(): number {
    return this.#watchers.size;
  }

  sign(sign: Sign): void {
    for (const tell of this.#watchers) tell(sign);
  }

  /** Lets `ms` milliseconds go by, and all happen that falls due in them. */
  async pass(ms: number): Promise<void> {
    const end = this.uptime() + ms;
    do {
      await settled();
      this.#clock.advance(Math.max(0, Math.min(this.#clock.next, end - this.uptime())));
      await settled();
    } while (this.uptime() < end);
  }
}

/** Whatever could be done by now is done. */
export function settled(): Promise<void> {
  return systemClock.turn();
}

/** A WebSocket without a network. */
export class FakeSocket {
  readonly OPEN = 1;
  readyState = 0;
  binaryType = "blob";
  bufferedAmount = 0;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: ArrayBuffer }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  onerror: (() => void) | null = null;
  readonly sent: Uint8Array[] = [];
  /** The service's side hears each frame. */
  onSent: (frame: Uint8Array) => void = () => {};

  constructor(
    readonly url: string,
    readonly protocols: string[],
    private readonly after: World["after"],
  ) {}

  send(frame: Uint8Array): void {
    this.sent.push(frame);
    this.onSent(frame);
  }

  close(): void {
    this.readyState = 3;
  }

  /** The service takes it. */
  open(): this {
    this.readyState = 1;
    this.onopen?.();
    return this;
  }

  /** The service says something. */
  hear(...frame: number[]): void {
    this.onmessage?.({ data: new Uint8Array(frame).buffer });
  }

  /**
   * The service asks for what it lacks of an empty document, and says that it has nothing itself. From
   * then on it says every 20 s that nobody else is here.
   */
  sync(): this {
    const keepAlive = () => {
      if (this.readyState !== 1) return;
      this.hear(1, 1, 0);
      this.after(20_000, keepAlive);
    };
    this.after(20_000, keepAlive);
    this.hear(0, 0, 1, 0);
    this.hear(0, 1, 2, 0, 0);
    return this;
  }

  /** The service ends it, or nobody was there: 1006. */
  end(code = 1006, reason = ""): void {
    this.readyState = 3;
    this.onclose?.({ code, reason });
  }
}

/** A ticket as the service gives it. */
export function ticketFor(room: string, n: number): Ticket {
  const ticket = `ticket-${n}`;
  const did = "did:plc:aliceaaaaaaaaaaaaaaaaaaa";
  return { ticket, did, room, role: "writer", protocols: ["authorization", ticket] };
}
