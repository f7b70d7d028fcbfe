import type { Config } from "./config.ts";
import { createSyncService, type SyncService } from "./service.ts";

/** How long answers that are under way may take, in ms, once all sockets are closed. */
const LAST_ANSWERS = 250;

/** One listener, and the service behind it. */
export interface Running {
  service: SyncService;
  /** The port that it listens on. */
  port: number;
  /** Commits, says goodbye, and is gone. */
  stop(): Promise<void>;
}

/**
 * Listens, and serves. Several threads of one process may do so on one port: the system deals the
 * connections out, and the store makes them one service.
 * @param port 0 for any that is free.
 * @throws {StoreUnavailableError} and what `Deno.serve` throws
 */
export async function run(config: Config, port: number): Promise<Running> {
  const server = Deno.serve(
    { port, hostname: config.hostname, reusePort: config.workers > 1, onListen: () => {} },
    (request, info) => service.fetch(request, info),
  );
  const { kvPath, serviceDid, publicUrl, ...rest } = config;
  const service = createSyncService({
    ...rest,
    publicUrl: publicUrl ?? `http://localhost:${server.addr.port}`,
    serviceDid: serviceDid ?? undefined,
    kv: kvPath,
  });
  await service.ready;
  return {
    service,
    port: server.addr.port,
    async stop() {
      // Not before: Deno's own shutdown closes sockets at once, with edits unread and acknowledgements unsent.
      await service.shutdown();
      const answered = server.shutdown();
      await Promise.race([answered, new Promise((done) => setTimeout(done, LAST_ANSWERS))]);
    },
  };
}
