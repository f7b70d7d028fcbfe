import type { Config } from "./config.ts";
import type { Order, Report } from "./worker.ts";

/** A worker that could not do as it was told. */
export class WorkerError extends Error {
  override readonly name = "WorkerError";
}

/** The further threads of this process. */
export class Workers {
  readonly #threads: Worker[] = [];

  /** Starts `count` threads that serve on the port of this one. @throws {WorkerError} */
  async start(count: number, config: Config, port: number): Promise<void> {
    for (let n = 0; n < count; n++) {
      this.#threads.push(new Worker(new URL("./worker.ts", import.meta.url), { type: "module" }));
    }
    await this.#order({ start: config, port });
  }

  /** Stops them all, each as the main thread stops. */
  async stop(): Promise<void> {
    await this.#order("stop");
    for (const thread of this.#threads) thread.terminate();
  }

  async #order(order: Order): Promise<void> {
    await Promise.all(this.#threads.map((thread) =>
      new Promise<void>((resolve, reject) => {
        thread.onmessage = ({ data }: MessageEvent<Report>) =>
          typeof data === "string" ? resolve() : reject(new WorkerError(data.failed));
        thread.onerror = (event) => {
          event.preventDefault();
          reject(new WorkerError(event.message));
        };
        thread.postMessage(order);
      })
    ));
  }
}
