/** For how long somebody who has left is remembered, in ms: a laptop that sleeps over lunch. */
const KEPT_MS = 60 * 60 * 1_000;

/** How many are remembered in one room. */
const MAX_DEPARTED = 1_000;

/**
 * Awareness client ids that have left a room, by the DID that they belong to. When there are too many,
 * the DID with most of them loses its oldest: nobody can make the room forget somebody else by coming
 * and leaving often.
 */
export class Departed {
  /** The client ids of each DID, and when they left; the oldest first. */
  readonly #byDid = new Map<string, Map<number, number>>();
  #size = 0;

  add(clientId: number, did: string, now: number): void {
    this.delete(clientId, did);
    const theirs = this.#byDid.get(did) ?? new Map<number, number>();
    this.#byDid.set(did, theirs.set(clientId, now));
    this.#size++;
  }

  delete(clientId: number, did: string): void {
    const theirs = this.#byDid.get(did);
    if (theirs === undefined || !theirs.delete(clientId)) return;
    this.#size--;
    if (theirs.size === 0) this.#byDid.delete(did);
  }

  /** The latest client id of each DID: what other instances are told. */
  *latest(): Iterable<number> {
    for (const theirs of this.#byDid.values()) yield [...theirs.keys()].at(-1)!;
  }

  /** Forgets those that are too old or too many. Returns their client ids. */
  forget(now: number): number[] {
    const forgotten: number[] = [];
    for (const [did, theirs] of this.#byDid) {
      for (const [clientId, leftAt] of theirs) {
        if (now - leftAt < KEPT_MS) break;
        this.delete(clientId, did);
        forgotten.push(clientId);
      }
    }
    while (this.#size > MAX_DEPARTED) {
      const [did, theirs] = this.#largest();
      const [oldest] = theirs.keys();
      this.delete(oldest!, did);
      forgotten.push(oldest!);
    }
    return forgotten;
  }

  #largest(): [string, Map<number, number>] {
    let largest: [string, Map<number, number>] | undefined;
    for (const entry of this.#byDid) {
      if (largest === undefined || entry[1].size > largest[1].size) largest = entry;
    }
    return largest!;
  }
}
