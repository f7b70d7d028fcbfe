import { getLogger } from "@logtape/logtape";
import type { Clock } from "../../clock.ts";
import { Counts } from "../../observe/tally.ts";
import { StoreDownError, type StoreFault } from "../errors.ts";
import { type Around, callThrough } from "./call_through.ts";
import { faultIn } from "./sqlite_faults.ts";

const logger = getLogger(["tessera", "store"]);

/** Failures in a row after which a store is left alone. */
const FAILURES = 5;

/**
 * Seconds without an answer after which a call fails, counted by one-second timers so that a suspended
 * process does not time out on waking.
 */
const PATIENCE = 10;

/** How soon a store that was left alone is asked again, in ms, by one call. */
const PROBE = 2_000;

/**
 * What proves that the store can be written again. As large as a value may be: on a disk that is nearly
 * full the smallest write succeeds now and then, and the next edit fails.
 */
const PROOF_KEY = ["proof"];
const PROOF_BYTES = 60 * 1024;

/** How long a store must have been writable again until that is logged, in ms: a full disk comes and goes. */
const STEADY = 10_000;

/** What keeps a store from writing. */
interface Unwritable {
  fault: StoreFault;
  reason: string;
  /** When the next write may be tried. */
  tryAt: number;
  /** Since when it can be written again; null while it cannot. */
  since: number | null;
}

/**
 * Stands between a store and its callers. A store that fails is left alone, so that nobody waits for an
 * answer that does not come, and it can recover; one call every two seconds finds out whether it has.
 * While a store can only be read, its writes fail at once.
 */
export class Breaker {
  #failures = 0;
  /** When it was last alive. */
  #aliveAt = -Infinity;
  /** When the next call is let through; null while all are. */
  #probeAt: number | null = null;
  /** What keeps it from writing, and when to try the next write; null while it writes. */
  #unwritable: Unwritable | null = null;
  #damage: string | null = null;
  /** What is written is lost when the process ends. */
  #isLost = false;

  /** @param counts Counts the calls that failed, by fault. */
  constructor(private readonly clock: Clock, private readonly counts = new Counts()) {}

  /** The store is left alone. */
  get isOpen(): boolean {
    return this.#probeAt !== null;
  }

  /** What is wrong with the store; null while it works. Damage stays until the service starts again. */
  get fault(): StoreFault | null {
    if (this.#damage !== null) return "damaged";
    if (this.#unwritable?.since === null) return this.#unwritable.fault;
    return this.isOpen ? "failing" : null;
  }

  /** @throws {StoreDownError} the store is damaged, although some of it may still answer */
  assertSound(): void {
    if (this.#damage !== null) throw new StoreDownError(this.#damage, "damaged");
  }

  /** The store's file was deleted or replaced: nothing is to be acknowledged any more. */
  noteLoss(): void {
    this.#isLost = true;
    this.#noteDamage("its file was deleted or replaced while it was open");
  }

  /** Reads the store. @throws {StoreDownError} when it is left alone, fails, or does not answer in 10 s. */
  async read<T>(work: () => Promise<T>): Promise<T> {
    const begun = this.clock.uptime();
    if (this.#probeAt !== null) {
      if (begun < this.#probeAt) {
        throw new StoreDownError("the store fails, and is left alone", "failing");
      }
      this.#probeAt = Infinity; // nobody else tries meanwhile
    }
    try {
      const result = await this.#inTime(work());
      this.#noteLife();
      return result;
    } catch (error) {
      const fault = error instanceof StoreDownError ? error.fault : faultIn(error);
      if (fault !== null) this.counts.add(fault);
      if (fault === "full" || fault === "read-only") {
        this.#noteLife(); // it can be read
        this.#noteUnwritable(fault, (error as Error).message);
      } else if (fault === null && error instanceof TypeError) {
        this.#noteLife(); // a call that makes no sense, such as for a key that is too large
      } else {
        if (fault === "damaged") this.#noteDamage((error as Error).message);
        this.#noteFailure(error, begun);
      }
      if (fault === null || error instanceof StoreDownError) throw error;
      throw new StoreDownError(`the store fails: ${(error as Error).message}`, fault, {
        cause: error,
      });
    }
  }

  /**
   * Writes to the store.
   * @param proof A write that shows whether the store can be written again.
   * @throws {StoreDownError} as `read`, and at once while the store can only be read
   */
  async write<T>(work: () => Promise<T>, proof: () => Promise<unknown>): Promise<T> {
    if (this.#isLost) this.assertSound();
    if (this.#unwritable?.since === null) await this.#prove(this.#unwritable, proof);
    const result = await this.read(work);
    this.#noteWrite();
    return result;
  }

  async #prove(unwritable: Unwritable, proof: () => Promise<unknown>): Promise<void> {
    const { fault, reason, tryAt } = unwritable;
    if (this.clock.uptime() < tryAt) {
      throw new StoreDownError(`the store cannot be written: ${reason}`, fault);
    }
    unwritable.tryAt = Infinity; // nobody else tries meanwhile
    try {
      await this.read(proof);
      unwritable.since = this.clock.uptime();
    } finally {
      unwritable.tryAt = this.clock.uptime() + PROBE;
    }
  }

  #noteWrite(): void {
    const since = this.#unwritable?.since ?? null;
    if (since === null || this.clock.uptime() < since + STEADY) return;
    this.#unwritable = null;
    logger.info("the store can be written again");
  }

  async #inTime<T>(answer: Promise<T>): Promise<T> {
    let cancel = () => {};
    const late = async () => {
      for (let second = 0; second < PATIENCE; second++) {
        await new Promise<void>((resolve) => cancel = this.clock.after(1_000, resolve));
      }
      throw new StoreDownError(`the store has not answered for ${PATIENCE} s`, "silent");
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

  #noteUnwritable(fault: StoreFault, reason: string): void {
    const tryAt = this.clock.uptime() + PROBE;
    if (this.#unwritable !== null) {
      Object.assign(this.#unwritable, { fault, reason, since: null });
      return;
    }
    this.#unwritable = { fault, reason, tryAt, since: null };
    logger.error(
      "the store cannot be written: {reason}. It can still be read; writes are tried again every 2 s",
      { reason, fault },
    );
  }

  #noteDamage(reason: string): void {
    if (this.#damage !== null) return;
    this.#damage = `the store is damaged: ${reason}`;
    logger.error("{damage}. This instance is not ready; `deno task doctor` explains what to do", {
      damage: this.#damage,
    });
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

const WRITES = new Set<PropertyKey>(["set", "delete", "atomic", "enqueue"]);

/** A KV store behind a breaker. */
export function guardedKv(kv: Deno.Kv, breaker: Breaker): Deno.Kv {
  const proof = async () => {
    await kv.set(PROOF_KEY, new Uint8Array(PROOF_BYTES));
    await kv.delete(PROOF_KEY);
  };
  const reads: Around = (call) => breaker.read(call);
  const writes: Around = (call) => breaker.write(call, proof);
  return callThrough(kv, (method) => ({ kv, around: WRITES.has(method) ? writes : reads }));
}
