/** How often something of each kind has happened. */
export class Counts {
  readonly #counts = new Map<string, number>();

  add(kind: string): void {
    this.#counts.set(kind, (this.#counts.get(kind) ?? 0) + 1);
  }

  /** Each kind, and how often. */
  [Symbol.iterator](): Iterator<[string, number]> {
    return this.#counts.entries();
  }
}

/** Takes measurements, one by one. */
export interface Measure {
  observe(value: number): void;
}

const NOBODY_MEASURES: Measure = { observe: () => {} };

/**
 * What has happened in a service since it started. To count is an addition; what makes numbers of it
 * that others can read is `metrics.ts`.
 */
export class Tally {
  /** Sockets that have opened; and closed, by their code. */
  opened = 0;
  readonly closed = new Counts();
  /** Messages from clients and to them. */
  received = 0;
  receivedBytes = 0;
  sent = 0;
  sentBytes = 0;
  /** Updates that were taken, and those that were refused. */
  updates = 0;
  refusedUpdates = 0;
  /** How often a store that failed was tried again. */
  storeFailures = 0;
  /** Calls of the store that failed, by what was wrong with it. */
  readonly storeFaults = new Counts();
  /** Answers, by their status; and errors among them, by their name. */
  readonly answers = new Counts();
  readonly errors = new Counts();
  /** Limits that somebody has come up against, by their name. */
  readonly limits = new Counts();
  ticketsIssued = 0;
  ticketsRedeemed = 0;
  /** DID documents that were asked for: `fresh`, `stale`, `expired` or `absent` in the cache, or `unknown` to it. */
  readonly documents = new Counts();
  /** How long commits take, in seconds, and how many updates each has. */
  commitTime: Measure = NOBODY_MEASURES;
  batchSize: Measure = NOBODY_MEASURES;
}
