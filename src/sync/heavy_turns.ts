import type { Clock } from "../clock.ts";

/**
 * From one piece of heavy work to the next, in turns of the event loop: a light room takes about so many
 * from an edit's arrival to its broadcast, and an empty turn costs 0.03 ms.
 */
const SPACING_TURNS = 4;

/**
 * Turns for work that takes milliseconds: one piece at a time over all rooms, with room for everybody else in
 * between. Otherwise many busy rooms, of one account perhaps, would keep every other room waiting for as
 * long as all of them take.
 */
export class HeavyTurns {
  readonly #clock: Pick<Clock, "turn">;
  readonly #waiting: (() => void)[] = [];
  /** Somebody has had a turn a moment ago. */
  #isTaken = false;

  constructor(clock: Pick<Clock, "turn">) {
    this.#clock = clock;
  }

  /** Resolves when it is the caller's turn: at once, or after those who asked before. */
  turn(): Promise<void> {
    if (this.#isTaken) return new Promise((resolve) => this.#waiting.push(resolve));
    this.#take();
    return Promise.resolve();
  }

  async #take(): Promise<void> {
    this.#isTaken = true;
    do {
      for (let n = 0; n < SPACING_TURNS; n++) await this.#clock.turn();
      this.#waiting[0]?.();
    } while (this.#waiting.shift() !== undefined);
    this.#isTaken = false;
  }
}
