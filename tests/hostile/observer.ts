import type { Measured, Watched } from "./observer_worker.ts";

/** Watches a server from a thread of its own. */
export class Observer implements Disposable {
  readonly #worker = new Worker(new URL("./observer_worker.ts", import.meta.url), {
    type: "module",
  });

  private constructor() {}

  /** Opens the calm room, in which two clients work until this is disposed of. */
  static async start(watched: Watched): Promise<Observer> {
    const observer = new Observer();
    await observer.#ask({ begin: watched });
    return observer;
  }

  /** Runs something, and returns how the server fared meanwhile. */
  async during(body: () => Promise<unknown>): Promise<Measured> {
    await this.#ask({ reset: true });
    await body();
    return await this.#ask({ report: true }) as Measured;
  }

  [Symbol.dispose](): void {
    this.#worker.terminate();
  }

  async #ask(message: object): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#worker.onmessage = ({ data }) => {
      if (data?.failed) reject(new Error(data.failed));
      else resolve(data);
    };
    this.#worker.onerror = (event) => {
      event.preventDefault();
      reject(new Error(event.message));
    };
    this.#worker.postMessage(message);
    return await promise;
  }
}
