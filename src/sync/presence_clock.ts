import type { PresenceBoard } from "../store/room_store.ts";

/** More events than a process has in one era (3 s). An era of fifty years still fits into 2^53. */
const EVENTS_PER_ERA = 2 ** 20;

/**
 * The awareness clocks that clients are told: a hybrid logical clock
 * (https://cse.buffalo.edu/tech-reports/2014-04.pdf) whose time is the era. A client ignores what has a
 * clock that it has seen before, perhaps on another instance or before a restart. So each clock of a
 * process is later than all that it has told before, and than all that was told anywhere in an earlier era.
 */
export class PresenceClock {
  #latest = 0;

  constructor(private readonly board: Pick<PresenceBoard, "era">) {}

  /** A clock later than all before it. */
  next(): number {
    this.#latest = Math.max(this.#latest + 1, this.board.era * EVENTS_PER_ERA);
    return this.#latest;
  }
}
