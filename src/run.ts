import type { Config } from "./config.ts";
import { createSyncService, type SyncService } from "./service.ts";

/**
 * How long goodbyes and last answers may be under way, in ms. A process that ends with bytes unread
 * resets its connections, and a reset throws away what the other side has not read yet.
 */
const LAST_WORDS = 500;

/** One listener, and the service behind it. */
export interface Running {
  service: SyncService;
  /** The port that it listens on. */
  port: number;
  /** Commits, says goodbye, and is ready to be ended. */
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
      // And not `server.shutdown`, which closes sockets at once, with edits unread.
      await service.shutdown();
      await new Promise((done) => setTimeout(done, LAST_WORDS));
    },
  };
}
