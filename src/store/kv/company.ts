import type { Clock } from "../../clock.ts";

/** How many rooms have lately had something to commit at about the same time. */
export class Company {
  #rooms = new Set<string>();
  #until = -Infinity;
  #before = 0;

  /** `within` is what "the same time" means, in ms. */
  constructor(private readonly clock: Clock, private readonly within: number) {}

  /** A room has something to commit. */
  note(room: string): void {
    const now = this.clock.uptime();
    if (now >= this.#until) {
      this.#before = now < this.#until + this.within ? this.#rooms.size : 0;
      this.#rooms = new Set();
      this.#until = now + this.within;
    }
    this.#rooms.add(room);
  }

  /** So many are to be expected. */
  get size(): number {
    return this.#before;
  }
}
