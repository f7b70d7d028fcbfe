/**
 * A further thread of the process, for a further core. The main thread sends its settings and the
 * port, and later asks it to stop; it answers when it has done either.
 */
import type { Config } from "./config.ts";
import { configureLogging } from "./observe/logging.ts";
import type { MetricValues } from "./observe/metrics.ts";
import { run, type Running } from "./run.ts";

/** What the main thread says. */
export type Order = { start: Config; port: number } | "stop" | "metrics";
/** What a worker answers. */
export type Report = "started" | "stopped" | { metrics: MetricValues } | { failed: string };

const thread = self as unknown as {
  onmessage: (event: MessageEvent<Order>) => void;
  postMessage(report: Report): void;
  close(): void;
};
let running: Running | undefined;

thread.onmessage = async ({ data: order }) => {
  try {
    thread.postMessage(await obey(order));
  } catch (error) {
    thread.postMessage({ failed: error instanceof Error ? error.message : String(error) });
  }
};

async function obey(order: Order): Promise<Report> {
  if (order === "stop") return await stop();
  if (order === "metrics") return { metrics: await (await running!.service.metrics()).values() };
  return await start(order.start, order.port);
}

async function start(config: Config, port: number): Promise<Report> {
  await configureLogging(config.logLevel, config.logFormat);
  running = await run(config, port);
  return "started";
}

async function stop(): Promise<Report> {
  await running?.stop();
  return "stopped";
}
