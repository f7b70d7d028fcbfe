import { Bell } from "./bell.ts";
import type { World } from "./world.ts";

/** What the first wait is at most, and the longest, in ms. */
const FIRST = 1_000;
const LONGEST = 30_000;

/** What is asked of us counts as so many failures: the wait is up to 8 s. */
const SLOWER = 4;

/** A day: no service means more, whatever it says. In ms. */
const LONGEST_ORDER = 86_400_000;

/** Whatever wakes us, attempts are so far apart, in ms: somebody may click in and out of a window. */
const WAKE_GAP = 2_000;

/** How an attempt failed: whether the service wants fewer of them, and when it wants the next, in ms. */
export interface Setback {
  isSlower?: boolean;
  retryAfter?: number;
}

/**
 * When to try again: after a wait of up to 1, 2, 4 … 30 s, drawn anew each time, so that those who were
 * cut off together don't come back together
 * (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/, "full jitter").
 */
export class Backoff {
  #failures = 0;
  #triedAt = -Infinity;
  #until = -Infinity;
  /** The service has said so: nothing but time gets us past this. */
  #ordered = -Infinity;
  readonly #bell = new Bell();

  constructor(private readonly world: World) {}

  /** Whether the last attempt failed. */
  get isFailing(): boolean {
    return this.#failures > 0;
  }

  /** Resolves when the next attempt may be made. @throws what the signal is aborted with */
  async due(signal: AbortSignal): Promise<void> {
    while (true) {
      signal.throwIfAborted();
      const wait = Math.max(this.#until, this.#ordered) - this.world.uptime();
      if (wait <= 0) return;
      await this.#bell.wait(this.world, wait, signal);
    }
  }

  /** An attempt is made. */
  tried(): void {
    this.#triedAt = this.world.uptime();
  }

  /** It has failed. */
  failed({ isSlower = false, retryAfter = 0 }: Setback = {}): void {
    this.#failures = Math.max(this.#failures + 1, isSlower ? SLOWER : 0);
    const most = Math.min(LONGEST, FIRST * 2 ** (this.#failures - 1));
    this.#ordered = this.world.uptime() + Math.min(retryAfter, LONGEST_ORDER);
    // Many are told the same moment, and are not to come all at it.
    this.#until = this.#ordered + this.world.random() * most;
  }

  /** It has not. */
  succeeded(): void {
    this.#failures = 0;
    this.#until = this.#ordered = -Infinity;
    this.#bell.ring();
  }

  /**
   * Somebody is there, or the network: no need to wait, unless the service has told us to.
   * @param afresh What failed has failed for another reason than what will.
   */
  wake(afresh: boolean): void {
    if (afresh) this.#failures = Math.min(this.#failures, 1);
    this.#until = Math.min(this.#until, this.#triedAt + WAKE_GAP);
    this.#bell.ring();
  }
}
