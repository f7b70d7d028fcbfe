import type { Clock } from "../clock.ts";

/**
 * From one piece of heavy work to the next, in turns of the event loop: a light room takes about so many
 * from an edit's arrival to its broadcast, and an empty turn costs 0.03 ms.
 */
const SPACING_TURNS = 4;

/** After a piece that took longer, others come first for as long: an edit takes dozens of turns in all. */
const SHORT_MS = 5;

/**
 * Turns for work that takes milliseconds: one piece at a time over all rooms, with room for everybody else in
 * between. Otherwise many busy rooms, of one account perhaps, would keep every other room waiting for as
 * long as all of them take.
 */
export class HeavyTurns {
  readonly #clock: Pick<Clock, "turn" | "uptime" | "after">;
  readonly #isShared: () => boolean;
  readonly #waiting: (() => void)[] = [];
  /** Somebody has had a turn a moment ago. */
  #isTaken = false;

  /** @param isShared Whether there is more than one room. */
  constructor(
    clock: Pick<Clock, "turn" | "uptime" | "after">,
    isShared: () => boolean = () => false,
  ) {
    this.#clock = clock;
    this.#isShared = isShared;
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
      await this.#rest();
      this.#waiting[0]?.();
    } while (this.#waiting.shift() !== undefined);
    this.#isTaken = false;
  }

  /** Lets the piece run that has its turn, and then others. */
  async #rest(): Promise<void> {
    const begun = this.#clock.uptime();
    await this.#clock.turn();
    const took = this.#clock.uptime() - begun;
    for (let n = 1; n < SPACING_TURNS; n++) await this.#clock.turn();
    if (took < SHORT_MS || !this.#isShared()) return;
    await new Promise<void>((resolve) => this.#clock.after(took, resolve));
  }
}
