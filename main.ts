import { getLogger } from "@logtape/logtape";
import { resolve } from "node:path";
import project from "./deno.json" with { type: "json" };
import { type Config, ConfigError, readConfig } from "./src/config.ts";
import { createSyncService, StoreUnavailableError, type SyncService } from "./src/mod.ts";
import { configureLogging } from "./src/observe/logging.ts";

const logger = getLogger(["tessera"]);

async function main(): Promise<void> {
  const config = readConfig(Deno.env.toObject(), {
    terminal: Deno.stdout.isTerminal(),
    onDeploy: Deno.env.has("DENO_DEPLOYMENT_ID"),
  });
  await configureLogging(config.logLevel, config.logFormat);

  const server = Deno.serve(
    { port: config.port, hostname: config.hostname, onListen: () => {} },
    (request, info) => service.fetch(request, info),
  );
  const publicUrl = config.publicUrl ?? `http://localhost:${server.addr.port}`;
  const { kvPath: kv, serviceDid, ...rest } = config;
  const service = createSyncService({
    ...rest,
    publicUrl,
    kv,
    serviceDid: serviceDid ?? undefined,
  });
  await service.ready;

  let stopping: Promise<void> | undefined;
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, () => stopping ??= stop(service, server));
  }
  announce(config, service);
  await service.warm();
}

function announce({ kvPath, port, hostname, ...config }: Config, { face }: SyncService): void {
  logger.info("Tessera {version} is ready at {url} as {did}; its data lies in {data}", {
    version: project.version,
    url: face.publicUrl,
    did: face.serviceDid,
    data: whereIs(kvPath),
    listening: `${hostname}:${port}`,
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

/** How long answers that are under way may take, in ms, once all sockets are closed. */
const LAST_ANSWERS = 250;

/** Commits, says goodbye, and exits. */
async function stop(service: SyncService, server: Deno.HttpServer): Promise<void> {
  logger.info("stopping");
  // Not before: Deno's own shutdown closes sockets at once, with edits unread and acknowledgements unsent.
  await service.shutdown();
  const answered = server.shutdown();
  await Promise.race([answered, new Promise((done) => setTimeout(done, LAST_ANSWERS))]);
  Deno.exit(0);
}

/** What an operator can mend is said in words; the rest shows where it came from. */
function explain(error: unknown): string {
  if (error instanceof ConfigError) {
    return `Tessera cannot start with these settings:\n${
      error.mistakes.map((m) => `  - ${m}`).join("\n")
    }`;
  }
  if (error instanceof StoreUnavailableError) return `Tessera cannot start: ${error.message}`;
  if (error instanceof Deno.errors.AddrInUse || error instanceof Deno.errors.PermissionDenied) {
    return `Tessera cannot start: ${error.message}`;
  }
  return error instanceof Error ? error.stack ?? error.message : String(error);
}

main().catch((error) => {
  console.error(explain(error));
  Deno.exit(1);
});
