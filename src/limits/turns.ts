/** A place that is held, or waited for. */
export interface Turn {
  /** Whether it is there. */
  readonly isHeld: boolean;
  /** Gives it up, also while it is waited for. May be called more than once. */
  end(): void;
}

interface Waiter {
  key: string;
  isHeld: boolean;
  onTurn: () => void;
}

/** So many of each key may do something at once; the others wait for their turn, in their order. */
export class Turns {
  readonly #waiters = new Map<string, Set<Waiter>>();

  constructor(private readonly atOnce: number) {}

  /** Asks for a turn. `onTurn` is called if it comes later. */
  ask(key: string, onTurn: () => void): Turn {
    const all = this.#waiters.get(key) ?? new Set();
    const waiter = { key, isHeld: all.size < this.atOnce, onTurn };
    this.#waiters.set(key, all.add(waiter));
    return {
      get isHeld() {
        return waiter.isHeld;
      },
      end: () => this.#end(waiter),
    };
  }

  #end(waiter: Waiter): void {
    const all = this.#waiters.get(waiter.key);
    if (!all?.delete(waiter)) return;
    if (all.size === 0) this.#waiters.delete(waiter.key);
    if (!waiter.isHeld) return;
    for (const next of all) {
      if (next.isHeld) continue;
      next.isHeld = true;
      return next.onTurn();
    }
  }
}
