import type { Clock } from "../../src/clock.ts";
import type { Chance } from "./chance.ts";

/**
 * One direction of a connection: what goes in comes out later, in order, until the line is cut. What is
 * under way then is lost.
 */
export class Line {
  #free = 0;
  #cut = false;

  constructor(private readonly clock: Clock, private readonly chance: Chance) {}

  /** Calls `arrive` when it has come through. */
  carry(arrive: () => void): void {
    const now = this.clock.now();
    // Never before what went in earlier.
    this.#free = Math.max(this.#free, now + this.chance.below(this.chance.once(10) ? 2_000 : 40));
    this.clock.after(this.#free - now, () => {
      if (!this.#cut) arrive();
    });
  }

  cut(): void {
    this.#cut = true;
  }
}
