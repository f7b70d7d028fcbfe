import type { Clock } from "../../src/clock.ts";
import type { Chance } from "./chance.ts";

/**
 * One direction of a connection: what goes in comes out later, in order, until the line is cut. What is
 * under way then is lost.
 */
export class Line {
  #free = 0;
  #cut = false;
  #underWay = 0;

  /** `slowness` is how long each byte takes, in ms. */
  constructor(
    private readonly clock: Clock,
    private readonly chance: Chance,
    private slowness = 0,
  ) {}

  /** Bytes that the other side has not taken: what is under way in a fast line has left already. */
  get waiting(): number {
    return this.slowness > 0 ? this.#underWay : 0;
  }

  /** Calls `arrive` when so many bytes have come through. */
  carry(bytes: number, arrive: () => void): void {
    const now = this.clock.uptime();
    const wait = this.chance.below(this.chance.once(10) ? 2_000 : 40);
    // Never before what went in earlier.
    this.#free = Math.max(this.#free, now + wait) + bytes * this.slowness;
    this.#underWay += bytes;
    this.clock.after(this.#free - now, () => {
      this.#underWay -= bytes;
      if (!this.#cut) arrive();
    });
  }

  /** Nothing comes through for a while, in ms; then it is not what it was. */
  standStill(ms: number): void {
    this.slowness ||= 1;
    this.#free = Math.max(this.#free, this.clock.uptime() + ms);
  }

  cut(): void {
    this.#cut = true;
  }
}
