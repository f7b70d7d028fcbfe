/** How many there are of each, of those that there are any. */
export class Occupancy {
  readonly #counts = new Map<string, number>();

  /** How many keys have any. */
  get size(): number {
    return this.#counts.size;
  }

  of(key: string): number {
    return this.#counts.get(key) ?? 0;
  }

  enter(key: string): void {
    this.#counts.set(key, this.of(key) + 1);
  }

  leave(key: string): void {
    const left = this.of(key) - 1;
    if (left > 0) this.#counts.set(key, left);
    else this.#counts.delete(key);
  }
}

/** Places that are held together, from before it is known that they are needed until they are not any more. */
export class Place {
  #held: { occupancy: Occupancy; key: string }[] = [];
  #released = false;

  /** Holds a place more. Does nothing once all are released: whoever waited for it has been answered. */
  hold(occupancy: Occupancy, key: string): void {
    if (this.#released) return;
    occupancy.enter(key);
    this.#held.push({ occupancy, key });
  }

  /** Releases all of them, once, however often it is called. */
  release(): void {
    this.#released = true;
    for (const { occupancy, key } of this.#held) occupancy.leave(key);
    this.#held = [];
  }
}
