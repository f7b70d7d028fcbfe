import type { Premise } from "../store/room_store.ts";

/** A premise that holds no more, and is nobody's. */
export const REFUTED: Premise = { key: [], versionstamp: "refuted" };

/** Somebody whose rights follow from a premise; null where they follow from nothing that is in the store. */
export interface Doubtable {
  readonly premise: Premise | null;
}

/** Whose rights in a room are certain, and who has to wait till they are. */
export class Doubt {
  /** What rights follow from, as it was last heard. Whoever's follow from something else waits. */
  #premise: Premise = REFUTED;
  #waiting: (() => void)[] = [];

  /** What rights follow from now. */
  get premise(): Premise {
    return this.#premise;
  }

  /** Rights follow from this now. `resume` is to be called once everybody has theirs. */
  hear(premise: Premise): void {
    this.#premise = premise;
  }

  /** The store says that this holds no more, unless a newer one was heard of already. */
  refute(premise: Premise | undefined): void {
    if (this.#premise.versionstamp === premise?.versionstamp) this.#premise = REFUTED;
  }

  /** Whether its rights may follow from what holds no more. */
  isAbout({ premise }: Doubtable): boolean {
    if (premise === null) return false;
    return premise === REFUTED || premise.versionstamp !== this.#premise.versionstamp;
  }

  /** Resolves when something is known again, and is to be looked at anew. */
  async change(): Promise<void> {
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  /** Goes on with what has waited till somebody's rights are known. */
  resume(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
