import type { Clock } from "../../clock.ts";

/**
 * How long a group waits for the rooms that are to be expected, in ms, and from how many on that is
 * worth while. A commit costs some 140 us of CPU whatever it carries: a hundred rooms with a typist
 * each took a quarter more without the wait. One busy room, or few, gain nothing and do not wait.
 */
const PATIENCE = 8;
const WORTH_WAITING_FOR = 4;
/** A commit has no room for more. */
const MOST = 100;

/** The rooms that have lately had something to commit at about the same time: they are expected again. */
export class Company {
  #rooms = new Set<string>();
  #until = -Infinity;
  #before = 0;
  #onComplete = () => {};

  constructor(private readonly clock: Clock) {}

  /** A room has something to commit, and with it so many wait. */
  note({ subject: room }: { subject: string }, waiting: number): void {
    const now = this.clock.uptime();
    if (now >= this.#until) {
      this.#before = now < this.#until + PATIENCE ? this.#rooms.size : 0;
      this.#rooms = new Set();
      this.#until = now + PATIENCE;
    }
    this.#rooms.add(room);
    if (this.#isComplete(waiting)) this.#onComplete();
  }

  /** So many wait: resolves when as many do as are to be expected, or it has been long enough. */
  gather(waiting: number): Promise<void> | null {
    if (this.#isComplete(waiting)) return null;
    return new Promise((resolve) => {
      const stop = this.clock.after(PATIENCE, resolve);
      this.#onComplete = () => {
        this.#onComplete = () => {};
        stop();
        resolve();
      };
    });
  }

  #isComplete(waiting: number): boolean {
    const expected = Math.min(this.#before, MOST);
    return expected < WORTH_WAITING_FOR || waiting >= expected;
  }
}
