import type { Clock } from "../clock.ts";
import type { Peer } from "./peer.ts";

/** How often it is counted what waits in an account's buffers, at most, in ms; sends are added in between. */
const COUNT_MS = 20;

type Sink = Pick<Peer, "buffered">;

/**
 * How many bytes may wait in the buffers of all connections of one account. A single connection costs
 * little when it takes nothing; hundreds of them, each with a large frame, would fill the memory.
 */
export class SendBudget {
  readonly #sinks = new Set<Sink>();
  #waiting = 0;
  #countedAt = -Infinity;

  constructor(private readonly maxBytes: number, private readonly clock: Clock) {}

  /** Whether a frame of this size may be sent. The first always may. */
  hasRoom(bytes: number): boolean {
    if (this.clock.uptime() - this.#countedAt >= COUNT_MS) this.#count();
    return this.#waiting === 0 || this.#waiting + bytes <= this.maxBytes;
  }

  /** A frame was sent. */
  spend(bytes: number): void {
    this.#waiting += bytes;
  }

  add(sink: Sink): void {
    this.#sinks.add(sink);
  }

  /** Returns whether the account has no connection any more. */
  delete(sink: Sink): boolean {
    this.#sinks.delete(sink);
    return this.#sinks.size === 0;
  }

  #count(): void {
    this.#countedAt = this.clock.uptime();
    this.#waiting = 0;
    for (const { buffered } of this.#sinks) this.#waiting += buffered;
  }
}

/** The budgets of all accounts that are connected. */
export class SendBudgets {
  readonly #byDid = new Map<string, SendBudget>();

  constructor(private readonly maxBytes: number, private readonly clock: Clock) {}

  /** A connection has come. Returns its account's budget. */
  enter(peer: Peer): SendBudget {
    const budget = this.#byDid.get(peer.did) ?? new SendBudget(this.maxBytes, this.clock);
    budget.add(peer);
    this.#byDid.set(peer.did, budget);
    return budget;
  }

  /** A connection is gone, and nothing waits in its buffer any more. */
  leave(peer: Peer): void {
    if (this.#byDid.get(peer.did)?.delete(peer)) this.#byDid.delete(peer.did);
  }
}
