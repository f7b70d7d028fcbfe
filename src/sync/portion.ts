import type { Clock } from "../clock.ts";
import type { Document } from "./document.ts";
import type { HeavyTurns } from "./heavy_turns.ts";
import { outlineInSteps } from "./outline.ts";
import { FINE_WEIGHT, type Slice, Slices } from "./slices.ts";

/** Structs, about: they take Yjs some 10 ms. */
const MOST = 8_192;
/**
 * Below that, what a change costs however small it is would come to more than the change. Yjs walks
 * through all clients a few times at each: that takes as long as an eighth as many structs.
 */
const LEAST = 256;
const LEAST_PER_CLIENT = 1 / 8;
const MS_PER_CLIENT = 0.001;

/** An update of more bytes for each struct of a portion is read bit by bit: 16 KiB take up to 5 ms. */
const LARGE_BYTES = 2;

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
   * Applies slices of updates to a document, and learns from how long that takes. To find the place of a
   * struct among many that were inserted at the same place may take a thousand times as long as else:
   * returns how many slices were applied when it was time to stop.
   * @throws {PoisonedError}
   */
  apply(document: Document, slices: Slice[]): { news: Uint8Array | null; count: number } {
    const begun = this.clock.uptime();
    const enough = Math.max(LONG, document.clients * MS_PER_CLIENT);
    let count = 0;
    let unseen = 0;
    const news = document.apply(slices.map(({ update }) => update), (applied) => {
      count = applied;
      unseen += slices[count - 1]!.weight;
      if (unseen < FINE_WEIGHT && count < slices.length) return false;
      unseen = 0;
      return this.clock.uptime() - begun > enough;
    });
    const took = this.clock.uptime() - begun;
    const ofClients = document.clients * LEAST_PER_CLIENT;
    const least = Math.max(Math.min(LEAST, this.most), ofClients);
    if (took > LONG) this.#weight = Math.max(least, this.#weight / 2);
    else if (took < SHORT) {
      this.#weight = Math.min(Math.max(this.most, ofClients), this.#weight * 2);
    }
    return { news, count };
  }
}

/** Does what comes in steps, with everybody else's turn in between. */
export async function inTurns<T>(turns: HeavyTurns, steps: Iterator<undefined, T>): Promise<T> {
  while (true) {
    await turns.turn();
    const { done, value } = steps.next();
    if (done) return value;
  }
}

/**
 * Applies what was stored to a document, a portion at a time. Yields what was new in each.
 * @throws {PoisonedError}
 */
export async function* applyInTurns(
  turns: HeavyTurns,
  portion: Portion,
  document: Document,
  updates: Uint8Array[],
): AsyncGenerator<Uint8Array> {
  let waiting: Slice[] = [];
  let weight = 0;
  const applySome = () => {
    const { news, count } = portion.apply(document, waiting);
    waiting = waiting.slice(count);
    weight = 0;
    return news;
  };
  for (const update of updates) {
    const outline = await inTurns(turns, outlineInSteps(update, true));
    document.structMemory += outline.memory;
    const slices = new Slices(outline, (deletion) => document.deletion(deletion));
    while (!slices.done) {
      for (const slice of slices.take(portion.weight)) {
        weight += slice.weight;
        waiting.push(slice);
      }
      // What is deleted is looked up in the document.
      while (weight >= portion.weight || slices.isAtDeletions && waiting.length > 0) {
        const news = applySome();
        if (news !== null) yield news;
        await turns.turn();
        if (waiting.length > 0) weight = portion.weight;
      }
    }
  }
  while (waiting.length > 0) {
    const news = applySome();
    if (news !== null) yield news;
    await turns.turn();
  }
}
