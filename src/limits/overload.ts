import { getLogger } from "@logtape/logtape";
import type { Clock } from "../clock.ts";
import type { Tally } from "../observe/tally.ts";
import { Refusal } from "../refusal.ts";
import type { Limits } from "./limits.ts";

const logger = getLogger(["tessera"]);

/** How often memory and the event loop are looked at, in ms. What was freed shows by the next time. */
const CHECK_MS = 500;

/** When to come back, in seconds. */
const RETRY_AFTER_S = 5;

/** What is measured, and what can be given up. */
export interface OverloadOptions {
  clock: Clock;
  limits: Pick<Limits, "memoryBytes" | "eventLoopLag">;
  tally: Tally;
  /** Bytes of memory of the process. */
  memory(): number;
  /** Forgets the rooms that nobody is in. Returns how many there were. */
  evictIdleRooms(): number;
  /** Ends the connection that costs the most memory. Returns its cost in bytes; 0 if none costs much. */
  endMostExpensive(): number;
}

/**
 * The last line of defence. Limits keep what each peer may cost, and this is for what they miss: when memory
 * is short, what is cheap to give up goes first; when the event loop is late, new work is refused.
 */
export class Overload {
  readonly #options: OverloadOptions;
  /** How often in a row the event loop was late: once may be a module that is loaded, or a laptop that slept. */
  #timesLate = 0;
  #cancel = () => {};

  constructor(options: OverloadOptions) {
    this.#options = options;
    this.#goOn();
  }

  /** @throws {Refusal} TooBusy, 503: those who are here already are kept waiting */
  check(): void {
    if (this.#timesLate < 2) return;
    const message = "The service is overloaded. Try again in a moment.";
    const limit = "eventLoopLag";
    throw new Refusal("TooBusy", 503, message, { retryAfter: RETRY_AFTER_S, limit });
  }

  stop(): void {
    this.#cancel();
  }

  #goOn(): void {
    const { clock, limits } = this.#options;
    const due = clock.uptime() + CHECK_MS;
    this.#cancel = clock.after(CHECK_MS, () => {
      const isLate = clock.uptime() - due > limits.eventLoopLag;
      this.#timesLate = isLate ? this.#timesLate + 1 : 0;
      this.#relieve();
      this.#goOn();
    });
  }

  /** Gives up one thing at a time. */
  #relieve(): void {
    const { limits, memory, tally, evictIdleRooms, endMostExpensive } = this.#options;
    if (limits.memoryBytes === Infinity) return;
    const used = memory();
    if (used <= limits.memoryBytes) return;
    const rooms = evictIdleRooms();
    const bytes = rooms > 0 ? 0 : endMostExpensive();
    if (rooms === 0 && bytes === 0) return;
    tally.limits.add("memoryBytes");
    logger.warn(
      "memory is short: {used} bytes; gave up {rooms} idle rooms, a peer's {bytes} bytes",
      {
        used,
        rooms,
        bytes,
      },
    );
  }
}
