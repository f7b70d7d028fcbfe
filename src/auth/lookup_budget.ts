import { LRUCache } from "lru-cache";
import type { Clock } from "../clock.ts";

/**
 * Milliseconds after which a DID may be looked up once more. Long enough that a flood of bad tokens is
 * two requests a minute for the directory; short enough that a rotated key is known soon.
 */
const INTERVAL = 30_000;

/** Look-ups that may come at once: a first one, one for a rotated key, one for a second thought. */
const BURST = 3;

/** DIDs to keep count of. One that is pushed out starts anew, after 10,000 others were looked up. */
const MAX_DIDS = 10_000;

/**
 * How often one DID may be looked up, whatever for: every bad token asks for a fresh key, and without
 * a budget that makes us an amplifier. Counted by the generic cell rate algorithm, which needs but
 * one number a DID: the time at which its budget will be whole again.
 */
export class LookupBudget {
  #clock: Clock;
  #wholeAt = new LRUCache<string, number>({ max: MAX_DIDS });

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Takes one look-up of `did`. Returns 0, or the milliseconds until there is one to take. */
  take(did: string): number {
    const now = this.#clock.uptime();
    const wholeAt = Math.max(now, this.#wholeAt.get(did) ?? 0);
    const wait = wholeAt - now - (BURST - 1) * INTERVAL;
    if (wait > 0) return wait;
    this.#wholeAt.set(did, wholeAt + INTERVAL);
    return 0;
  }
}
