/** Lets concurrent callers that want the same thing share one attempt to get it. */
export class Coalescer<T> {
  #running = new Map<string, Promise<T>>();
  #max: number;

  /** @param max The most attempts at once, over all keys. Default: no limit. */
  constructor(max: number = Infinity) {
    this.#max = max;
  }

  /** Whether an attempt for a new key would be one too many. */
  get full(): boolean {
    return this.#running.size >= this.#max;
  }

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
