/** Buckets for each doubling: one is 4 % wide, finer than any two runs agree. */
const STEPS = 16;
/** From 1 us to 2^28 us, over four minutes. */
const BUCKETS = 28 * STEPS;

/** Latencies, millions of them in little room. */
export class Histogram {
  readonly #counts = new Float64Array(BUCKETS);
  #total = 0;

  /** Counts one latency, in ms. */
  add(ms: number): void {
    const bucket = Math.floor(Math.log2(Math.max(ms * 1000, 1)) * STEPS);
    this.#counts[Math.min(bucket, BUCKETS - 1)]!++;
    this.#total++;
  }

  clear(): void {
    this.#counts.fill(0);
    this.#total = 0;
  }

  /** The latency in ms that this share of all stays under; NaN when there are none. */
  percentile(share: number): number {
    let rest = this.#total * share;
    const bucket = this.#counts.findIndex((count) => (rest -= count) <= 0 && count > 0);
    return bucket < 0 ? NaN : 2 ** ((bucket + 0.5) / STEPS) / 1000;
  }
}
