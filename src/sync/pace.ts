import type { Clock } from "../clock.ts";
import type { Heard } from "./awareness.ts";

/**
 * Lets through what one connection says of its clients, at no more than so many messages a second. What
 * comes in between waits, and of each client only the latest is left: that is all anybody wants to see.
 */
export class Pace {
  #freeAt = -Infinity;
  #waiting: Map<number, Heard> | null = null;
  #cancel = () => {};

  /** `gap` is the least time between two messages, in ms. */
  constructor(
    private readonly clock: Clock,
    private readonly gap: number,
    private readonly pass: (entries: Heard[]) => void,
  ) {}

  take(entries: Heard[]): void {
    if (this.#waiting !== null) return this.#keepLatest(entries);
    const now = this.clock.uptime();
    if (now >= this.#freeAt) return this.#let(entries);
    this.#waiting = new Map();
    this.#keepLatest(entries);
    this.#cancel = this.clock.after(this.#freeAt - now, () => {
      const latest = [...this.#waiting!.values()];
      this.#waiting = null;
      this.#let(latest);
    });
  }

  /** The connection has gone, or has nothing to say any more: what waits is dropped. */
  stop(): void {
    this.#cancel();
    this.#waiting = null;
  }

  #let(entries: Heard[]): void {
    this.#freeAt = this.clock.uptime() + this.gap;
    this.pass(entries);
  }

  #keepLatest(entries: Heard[]): void {
    for (const entry of entries) {
      const waiting = this.#waiting!.get(entry.clientId);
      if (waiting === undefined || waiting.clock <= entry.clock) {
        this.#waiting!.set(entry.clientId, entry);
      }
    }
  }
}
