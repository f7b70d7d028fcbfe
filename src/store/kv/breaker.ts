import { getLogger } from "@logtape/logtape";
import type { Clock } from "../../clock.ts";
import { type Around, callThrough } from "./call_through.ts";

const logger = getLogger(["tessera", "store"]);

/** So many failures in a row, and a store is left alone. */
const FAILURES = 5;

/**
 * Who has had no answer for so many seconds gets none. They are counted one by one: a process that
 * stood still for a minute has waited for one.
 */
const PATIENCE = 10;

/** How soon a store that was left alone is asked again, in ms, by one call. */
const PROBE = 2_000;

/** The store does not answer. Whether it did what it was asked is not known, unless it was not asked. */
export class StoreDownError extends Error {
  override readonly name = "StoreDownError";
}

/**
 * Stands between a store and who calls it. A store that fails is left alone, so that nobody waits for
 * what does not come, and it can recover; one call now and then finds out whether it has.
 */
export class Breaker {
  #failures = 0;
  /** When it was last alive. */
  #aliveAt = -Infinity;
  /** When the next call is let through; null while all are. */
  #probeAt: number | null = null;

  constructor(private readonly clock: Clock) {}

  /** The store is left alone. */
  get isOpen(): boolean {
    return this.#probeAt !== null;
  }

  /** Calls the store. @throws {StoreDownError} when it is left alone, or does not answer in 10 s. */
  async call<T>(work: () => Promise<T>): Promise<T> {
    const begun = this.clock.uptime();
    if (this.#probeAt !== null) {
      if (begun < this.#probeAt) throw new StoreDownError("the store fails, and is left alone");
      this.#probeAt = Infinity; // nobody else tries meanwhile
    }
    try {
      const result = await this.#inTime(work());
      this.#noteLife();
      return result;
    } catch (error) {
      // A call that makes no sense, such as for a key that is too large, says nothing of the store.
      if (error instanceof TypeError) this.#noteLife();
      else this.#noteFailure(error, begun);
      throw error;
    }
  }

  async #inTime<T>(answer: Promise<T>): Promise<T> {
    let cancel = () => {};
    const late = async () => {
      for (let second = 0; second < PATIENCE; second++) {
        await new Promise<void>((resolve) => cancel = this.clock.after(1_000, resolve));
      }
      throw new StoreDownError(`the store has not answered for ${PATIENCE} s`);
    };
    try {
      return await Promise.race([answer, late()]);
    } finally {
      cancel();
    }
  }

  #noteLife(): void {
    this.#failures = 0;
    this.#aliveAt = this.clock.uptime();
    if (this.#probeAt === null) return;
    this.#probeAt = null;
    logger.info("the store answers again");
  }

  #noteFailure(error: unknown, begun: number): void {
    this.#failures++;
    // One that is silent for so long is no hiccup, unless it has answered others in that time.
    const isSilent = error instanceof StoreDownError && this.#aliveAt < begun;
    if (this.#probeAt === null) {
      if (this.#failures < FAILURES && !isSilent) return;
      logger.error("the store fails, and is left alone for a while: {error}", { error });
    }
    this.#probeAt = this.clock.uptime() + PROBE;
  }
}

/** A KV store behind a breaker. */
export function guardedKv(kv: Deno.Kv, breaker: Breaker): Deno.Kv {
  const around: Around = (call) => breaker.call(call);
  return callThrough(kv, () => ({ kv, around }));
}
