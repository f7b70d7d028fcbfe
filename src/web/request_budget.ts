import { LRUCache } from "lru-cache";
import type { Clock } from "../clock.ts";

/** How often somebody may be asked. */
export interface Allowance {
  /** Milliseconds after which there is one more request to make. */
  interval: number;
  /** Requests that may come at once. */
  burst: number;
}

/** How many to keep count of, some 15 MB. One that is pushed out starts anew, after as many others. */
const MAX_KEYS = 100_000;

/**
 * How often something may be done: how often somebody may ask us, or we ask about a DID or at a host,
 * since others make us, and without a budget we are their amplifier. Counted by the generic cell rate algorithm, which needs but one number
 * each: the time at which its budget will be whole again.
 */
export class RequestBudget {
  #clock: Clock;
  #allowance: Allowance;
  #wholeAt = new LRUCache<string, number>({ max: MAX_KEYS });

  constructor(clock: Clock, allowance: Allowance) {
    this.#clock = clock;
    this.#allowance = allowance;
  }

  /** Takes one request. Returns 0, or the milliseconds until there is one to take. */
  take(key: string): number {
    const wait = this.wait(key);
    if (wait === 0) this.#wholeAt.set(key, this.#whole(key) + this.#allowance.interval);
    return wait;
  }

  /** The milliseconds until there is a request to take, or 0. Takes none. */
  wait(key: string): number {
    const { interval, burst } = this.#allowance;
    return Math.max(0, this.#whole(key) - this.#clock.uptime() - (burst - 1) * interval);
  }

  /** When all of its budget will be there again. */
  #whole(key: string): number {
    return Math.max(this.#clock.uptime(), this.#wholeAt.get(key) ?? 0);
  }
}
