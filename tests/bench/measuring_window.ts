import type { Running } from "./contenders/contender.ts";
import type { Metrics } from "./scenarios/scenario.ts";
import { cpuSeconds } from "./server_process.ts";
import type { Histogram } from "./histogram.ts";

/** Measures what a server does and costs while something goes on. */
export class MeasuringWindow {
  #from!: Awaited<ReturnType<MeasuringWindow["look"]>>;

  private constructor(
    private readonly server: Running,
    private readonly done: () => number,
  ) {}

  /** Starts to measure; `done` counts what the server has done so far. */
  static async open(server: Running, done: () => number): Promise<MeasuringWindow> {
    const window = new MeasuringWindow(server, done);
    window.#from = await window.look();
    return window;
  }

  /** What was done since it was opened, by the name of what is counted. */
  async close(unit: string): Promise<Metrics> {
    const from = this.#from;
    const to = await this.look();
    const seconds = to.seconds - from.seconds;
    const done = to.done - from.done;
    const cpu = to.cpu - from.cpu;
    return {
      [`${unit}/s`]: done / seconds,
      [`${unit} per CPU s`]: done / cpu,
      [`CPU us per ${unit}`]: cpu / done * 1e6,
      "server CPU %": cpu / seconds * 100,
      "generator CPU %": (to.ownCpu - from.ownCpu) / seconds * 100,
      "RSS MB": await this.server.process.residentBytes() / 1e6,
    };
  }

  private async look() {
    return {
      seconds: performance.now() / 1000,
      done: this.done(),
      cpu: await this.server.process.cpuSeconds(),
      ownCpu: await cpuSeconds("self"),
    };
  }
}

/** The percentiles that are worth a column. */
export function percentiles(latency: Histogram): Metrics {
  return {
    "p50 ms": latency.percentile(0.5),
    "p95 ms": latency.percentile(0.95),
    "p99 ms": latency.percentile(0.99),
  };
}
