import { getLogger } from "@logtape/logtape";
import { resolve } from "node:path";
import project from "./deno.json" with { type: "json" };
import { type Config, ConfigError, readConfig } from "./src/config.ts";
import { metricsAnswer } from "./src/http/metrics.ts";
import { configureLogging } from "./src/observe/logging.ts";
import { run, type Running } from "./src/run.ts";
import { StoreUnavailableError } from "./src/store/kv/open_kv.ts";
import { WorkerError, Workers } from "./src/workers.ts";

const logger = getLogger(["tessera"]);

async function main(): Promise<void> {
  const config = readConfig(Deno.env.toObject(), {
    terminal: Deno.stdout.isTerminal(),
    onDeploy: Deno.env.has("DENO_DEPLOYMENT_ID"),
    memory: containerMemory(),
  });
  await configureLogging(config.logLevel, config.logFormat);

  const running = await run(config, config.port);
  const workers = new Workers();
  await workers.start(config.workers - 1, config, running.port);

  if (config.metricsPort !== null) serveMetrics(config, running, workers);

  let stopping: Promise<void> | undefined;
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, () => stopping ??= stop(running, workers));
  }
  announce(config, running);
  await running.service.warm();
}

/** What the container lets us have, in bytes: https://docs.kernel.org/admin-guide/cgroup-v2.html */
function containerMemory(): number | undefined {
  try {
    return Number(Deno.readTextFileSync("/sys/fs/cgroup/memory.max")) || undefined; // or "max"
  } catch {
    return undefined; // no container, or none that says
  }
}

/** Serves the metrics of all threads together, at an address that is not for everybody. */
function serveMetrics(
  { metricsPort, hostname }: Config,
  { service }: Running,
  workers: Workers,
): void {
  const onListen = ({ port }: Deno.NetAddr) => logger.info("metrics are at port {port}", { port });
  Deno.serve({ port: metricsPort!, hostname, onListen }, async ({ url }) => {
    if (new URL(url).pathname !== "/metrics") return new Response("Not found", { status: 404 });
    const { addUp } = await import("./src/observe/metrics.ts");
    const own = await (await service.metrics()).values();
    return metricsAnswer(await addUp([own, ...await workers.metrics()]));
  });
}

function announce(config: Config, { service: { face }, port }: Running): void {
  logger.info("Tessera {version} is ready at {url} as {did}; its data lies in {data}", {
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
  if (kvPath === ":memory:") return "memory, and goes with this process";
  return URL.canParse(kvPath) ? kvPath : resolve(kvPath);
}

/** Commits, says goodbye, and exits. */
async function stop(running: Running, workers: Workers): Promise<void> {
  logger.info("stopping");
  await Promise.all([running.stop(), workers.stop()]);
  Deno.exit(0);
}

/** What an operator can mend is said in words; the rest shows where it came from. */
function explain(error: unknown): string {
  if (error instanceof ConfigError) {
    return `Tessera cannot start with these settings:\n${
      error.mistakes.map((m) => `  - ${m}`).join("\n")
    }`;
  }
  if (error instanceof StoreUnavailableError || error instanceof WorkerError) {
    return `Tessera cannot start: ${error.message}`;
  }
  if (error instanceof Deno.errors.AddrInUse || error instanceof Deno.errors.PermissionDenied) {
    return `Tessera cannot start: ${error.message}`;
  }
  return error instanceof Error ? error.stack ?? error.message : String(error);
}

main().catch((error) => {
  console.error(explain(error));
  Deno.exit(1);
});
