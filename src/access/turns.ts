import { Refusal } from "../refusal.ts";

/** Calls of one DID that wait. An app that shows a page of rooms asks for fifty at once. */
const MAX_WAITING = 100;

/** Lets the work for one DID run one after the other, so that it takes a share of the store and no more. */
export class Turns {
  readonly #queues = new Map<string, { last: Promise<unknown>; waiting: number }>();

  /** Resolves or rejects as `work` does. @throws {Refusal} TooBusy */
  async take<T>(did: string, work: () => Promise<T>): Promise<T> {
    const queue = this.#queues.get(did) ?? { last: Promise.resolve(), waiting: 0 };
    if (queue.waiting >= MAX_WAITING) {
      const words = "Too many calls of this account are waiting.";
      throw new Refusal("TooBusy", 503, words, { retryAfter: 1 });
    }
    this.#queues.set(did, queue);
    queue.waiting++;
    const result = queue.last.then(work);
    queue.last = result.catch(() => {});
    try {
      return await result;
    } finally {
      if (--queue.waiting === 0) this.#queues.delete(did);
    }
  }
}
