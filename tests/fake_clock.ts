import type { Clock } from "../src/clock.ts";

/**
 * A clock that stands still until it is told to move. It starts in 2100, ahead of the clock on the
 * wall, which some libraries read: to them, nothing that is good by this clock has expired.
 */
export class FakeClock implements Clock {
  #uptime = 0;
  #timers = new Set<{ at: number; callback: () => void }>();

  constructor(private epoch = Date.UTC(2100, 0, 1)) {}

  now(): number {
    return this.epoch + this.#uptime;
  }

  uptime(): number {
    return this.#uptime;
  }

  after(ms: number, callback: () => void): () => void {
    const timer = { at: this.#uptime + ms, callback };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }

  /** Nothing arrives from outside unless a test brings it. */
  turn(): Promise<void> {
    return Promise.resolve();
  }

  /** How long it is to the next call that falls due, in ms; Infinity when there is none. */
  get next(): number {
    return Math.min(...[...this.#timers].map(({ at }) => at)) - this.#uptime;
  }

  /** Moves on by `ms` milliseconds and makes the calls that fall due on the way, in their order. */
  advance(ms: number): void {
    const end = this.#uptime + ms;
    for (let next = this.#earliest(end); next; next = this.#earliest(end)) {
      this.#timers.delete(next);
      this.#uptime = Math.max(this.#uptime, next.at);
      next.callback();
    }
    this.#uptime = end;
  }

  /** Time passes, and nobody has a turn: what falls due meanwhile is called late. */
  block(ms: number): void {
    this.#uptime += ms;
  }

  /** Somebody sets the clock, by `ms` milliseconds: no call comes sooner or later for it. */
  set(ms: number): void {
    this.epoch += ms;
  }

  /** The earliest timer that falls due by `end`; the first made, of several at one time. */
  #earliest(end: number) {
    return [...this.#timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
  }
}
