/** Lets concurrent callers that want the same thing share one attempt to get it. */
export class Coalescer<T> {
  #running = new Map<string, Promise<T>>();

  /** The attempt for `key` that is under way, if any. */
  running(key: string): Promise<T> | undefined {
    return this.#running.get(key);
  }

  /** Starts an attempt for `key`. It is under way until it settles, either way. */
  start(key: string, attempt: () => Promise<T>): Promise<T> {
    const running = attempt().finally(() => this.#running.delete(key));
    this.#running.set(key, running);
    return running;
  }
}
