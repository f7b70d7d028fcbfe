import type { Clock } from "../clock.ts";
import type { Document } from "./document.ts";
import { outlineInSteps } from "./outline.ts";
import { Slices } from "./slices.ts";

/** Structs, about: they take Yjs some 10 ms. */
const MOST = 8_192;
/**
 * Below that, what a change costs however small it is would come to more than the change. Yjs walks
 * through all clients a few times at each: that takes as long as an eighth as many structs.
 */
const LEAST = 256;
const LEAST_PER_CLIENT = 1 / 8;

/** An update of more bytes for each struct of a portion is read bit by bit: 64 KiB take about 1 ms. */
const LARGE_BYTES = 8;

/** More than this and the next is half as large, much less and it is twice as large, in ms. */
const LONG = 15;
const SHORT = 5;

/** How much of a document is changed in one go: so much that nobody else is kept waiting for long. */
export class Portion {
  #weight: number;

  /** @param most The largest, in structs. */
  constructor(private readonly clock: Clock, private readonly most = MOST) {
    this.#weight = most;
  }

  /** About how many structs. Some updates take Yjs far longer than most do. */
  get weight(): number {
    return this.#weight;
  }

  /** Whether reading an update is itself to be done in steps. */
  isLarge(update: Uint8Array): boolean {
    return update.length > LARGE_BYTES * this.most;
  }

  /**
   * Applies updates of this weight to a document, and learns from how long that takes.
   * @throws {PoisonedError}
   */
  apply(document: Document, updates: Uint8Array[], weight: number): Uint8Array | null {
    const begun = this.clock.uptime();
    let integrated = begun;
    const news = document.apply(updates, () => integrated = this.clock.uptime());
    const took = this.clock.uptime() - begun;
    const least = Math.max(LEAST, document.clients * LEAST_PER_CLIENT);
    // To find the place of one struct among many that were inserted at the same place may take for long.
    if (integrated - begun > LONG) this.#weight = Math.max(1, this.#weight / 2);
    else if (took > LONG) this.#weight = Math.max(Math.min(least, this.most), this.#weight / 2);
    else if (took < SHORT && weight >= this.#weight / 4) {
      this.#weight = Math.min(this.most, this.#weight * 2);
    }
    return news;
  }
}

/** Does what comes in steps, with everybody else's turn in between. */
export async function inTurns<T>(clock: Clock, steps: Iterator<undefined, T>): Promise<T> {
  while (true) {
    const { done, value } = steps.next();
    if (done) return value;
    await clock.turn();
  }
}

/**
 * Applies what was stored to a document, a portion at a time. Yields what was new in each.
 * @throws {PoisonedError}
 */
export async function* applyInTurns(
  clock: Clock,
  portion: Portion,
  document: Document,
  updates: Uint8Array[],
): AsyncGenerator<Uint8Array> {
  let waiting: Uint8Array[] = [];
  let weight = 0;
  for (const update of updates) {
    const outline = await inTurns(clock, outlineInSteps(update, true));
    document.structMemory += outline.memory;
    const slices = new Slices(outline, (deletion) => document.deletion(deletion));
    while (!slices.done) {
      const slice = slices.next(portion.weight);
      weight += slice.weight;
      waiting.push(slice.update);
      if (weight < portion.weight) continue;
      const news = portion.apply(document, waiting, weight);
      if (news !== null) yield news;
      waiting = [];
      weight = 0;
      await clock.turn();
    }
  }
  const news = portion.apply(document, waiting, weight);
  if (news !== null) yield news;
}
