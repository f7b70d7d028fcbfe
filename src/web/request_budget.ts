import { LRUCache } from "lru-cache";
import type { Clock } from "../clock.ts";

/** How often somebody may be asked. */
export interface Allowance {
  /** Milliseconds after which there is one more request to make. */
  interval: number;
  /** Requests that may come at once. */
  burst: number;
}

/** How many to keep count of. One that is pushed out starts anew, after 10,000 others were asked. */
const MAX_KEYS = 10_000;

/**
 * How often we ask about a DID, or at a host, whatever for: others make us ask, and without a budget
 * we are their amplifier. Counted by the generic cell rate algorithm, which needs but one number
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
    const { interval, burst } = this.#allowance;
    const now = this.#clock.uptime();
    const wholeAt = Math.max(now, this.#wholeAt.get(key) ?? 0);
    const wait = wholeAt - now - (burst - 1) * interval;
    if (wait > 0) return wait;
    this.#wholeAt.set(key, wholeAt + interval);
    return 0;
  }
}
