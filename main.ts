import { getLogger } from "@logtape/logtape";
import { resolve } from "node:path";
import project from "./deno.json" with { type: "json" };
import { readArgs } from "./src/cli/args.ts";
import { type Config, readConfig, SETTINGS } from "./src/config.ts";
import { metricsAnswer } from "./src/http/metrics.ts";
import { configureLogging } from "./src/observe/logging.ts";
import { run, type Running } from "./src/run.ts";
import { memoryLimit } from "./src/server/memory_limit.ts";
import {
  explainListenError,
  explainStartError,
  type ListenAddress,
} from "./src/server/start_error.ts";
import { unknownSettings } from "./src/server/unknown_settings.ts";
import { Workers } from "./src/workers.ts";

const logger = getLogger(["tessera"]);

const USAGE = `usage: deno task start
Serves Tessera. All settings are environment variables, such as PORT=8000 and PUBLIC_URL:
README.md lists them. SIGTERM, SIGINT and SIGHUP stop it when everything is saved; a second
SIGINT (Ctrl-C) stops it at once.`;

/** Exit code of a process that SIGINT has ended: https://tldp.org/LDP/abs/html/exitcodes.html */
const INTERRUPTED = 130;

async function main(): Promise<void> {
  const env = Deno.env.toObject();
  const config = readConfig(env, {
    terminal: Deno.stdout.isTerminal(),
    onDeploy: Deno.env.has("DENO_DEPLOYMENT_ID"),
    memory: memoryLimit(),
  });
  await configureLogging(config.logLevel, config.logFormat);
  for (const { name, nearest } of unknownSettings(Object.keys(env), SETTINGS)) {
    logger.warn("{name} is not a setting; did you mean {nearest}?", { name, nearest });
  }

  const { hostname, port } = config;
  const running = await explained(
    { hostname, port, portSetting: "PORT" },
    () => run(config, port),
  );
  const workers = new Workers();
  await workers.start(config.workers - 1, config, running.port);

  if (config.metricsPort !== null) {
    const address = { hostname, port: config.metricsPort, portSetting: "METRICS_PORT" } as const;
    await explained(address, () => serveMetrics(address, running, workers));
  }
  stopOnSignals(running, workers);
  announce(config, running);
  await running.service.warm();
}

/** Names the setting when nobody can listen where it says. */
async function explained<T>(address: ListenAddress, listen: () => T | Promise<T>): Promise<T> {
  try {
    return await listen();
  } catch (error) {
    throw explainListenError(error, address);
  }
}

/** Serves the metrics of all threads together, at an address that is not for everybody. */
function serveMetrics(
  { hostname, port }: ListenAddress,
  { service }: Running,
  workers: Workers,
): void {
  const onListen = ({ port }: Deno.NetAddr) => logger.info("metrics are at port {port}", { port });
  Deno.serve({ port, hostname, onListen }, async ({ url }) => {
    if (new URL(url).pathname !== "/metrics") return new Response("Not found", { status: 404 });
    const { addUp } = await import("./src/observe/metrics.ts");
    const own = await (await service.metrics()).values();
    return metricsAnswer(await addUp([own, ...await workers.metrics()]));
  });
}

function announce(config: Config, { service: { face }, port }: Running): void {
  logger.info("Tessera {version} is ready at {url} as {did}; data: {data}", {
    version: project.version,
    url: face.publicUrl,
    did: face.serviceDid,
    data: whereIs(config.kvPath),
    listening: `${config.hostname}:${port}`,
    workers: config.workers,
  });
  if (config.devToken !== null) {
    logger.warn("UNSAFE_DEV_TOKEN IS SET: whoever knows it can be anyone. For development only!");
  }
  if (config.allowLocalDids) {
    logger.warn(
      "UNSAFE_ALLOW_LOCAL_DIDS IS SET: accounts of localhost are let in. For development only!",
    );
  }
}

function whereIs(kvPath: string | null): string {
  if (kvPath === null) return "the platform's KV";
  if (kvPath === ":memory:") return "in memory, lost on exit";
  return URL.canParse(kvPath) ? kvPath : resolve(kvPath);
}

/** A terminal that closes sends SIGHUP. */
function stopOnSignals(running: Running, workers: Workers): void {
  let stopping: Promise<void> | undefined;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    Deno.addSignalListener(signal, () => {
      if (stopping !== undefined && signal === "SIGINT") Deno.exit(INTERRUPTED);
      stopping ??= stop(running, workers);
    });
  }
}

/** Commits, says goodbye, and exits. */
async function stop(running: Running, workers: Workers): Promise<void> {
  logger.info("stopping");
  await Promise.all([running.stop(), workers.stop()]);
  Deno.exit(0);
}

function fail(error: unknown): never {
  console.error(explainStartError(error));
  Deno.exit(1);
}

/** `node:http` throws where nobody can catch it, when a permission is missing. */
function failUncaught(event: ErrorEvent): void {
  event.preventDefault();
  fail(event.error);
}

readArgs(USAGE, {});
addEventListener("error", failUncaught);
main().catch(fail).then(() => removeEventListener("error", failUncaught));
