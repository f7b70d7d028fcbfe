import type { Config } from "./config.ts";
import type { MetricValues } from "./observe/metrics.ts";
import type { Order, Report } from "./worker.ts";

/** A worker that could not do as it was told. */
export class WorkerError extends Error {
  override readonly name = "WorkerError";
}

/** The further threads of this process. */
export class Workers {
  readonly #threads: Worker[] = [];
  #turn: Promise<unknown> = Promise.resolve();

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

  /** The metrics of each. @throws {WorkerError} */
  async metrics(): Promise<MetricValues[]> {
    const reports = await this.#order("metrics");
    return reports.flatMap((report) =>
      typeof report === "object" && "metrics" in report ? [report.metrics] : []
    );
  }

  /** One order at a time: a report does not say what it is about. */
  #order(order: Order): Promise<Report[]> {
    const reports = this.#turn.then(() => this.#giveOut(order));
    this.#turn = reports.catch(() => {});
    return reports;
  }

  async #giveOut(order: Order): Promise<Report[]> {
    return await Promise.all(
      this.#threads.map((thread) =>
        new Promise<Report>((resolve, reject) => {
          thread.onmessage = ({ data }: MessageEvent<Report>) =>
            typeof data === "object" && "failed" in data
              ? reject(new WorkerError(data.failed))
              : resolve(data);
          thread.onerror = (event) => {
            event.preventDefault();
            reject(new WorkerError(event.message));
          };
          thread.postMessage(order);
        })
      ),
    );
  }
}
