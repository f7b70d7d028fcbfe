import type { Config } from "./config.ts";
import { systemClock } from "./clock.ts";
import { createSyncService, type SyncService } from "./service.ts";
import { listen } from "./transport/listener.ts";

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
 * @throws {StoreUnavailableError} and what `listen` throws
 */
export async function run(config: Config, port: number): Promise<Running> {
  const { hostname, limits, trustedProxies, onDeploy, workers } = config;
  const listener = await listen({
    port,
    hostname,
    reusePort: workers > 1,
    limits,
    trustedProxies,
    clock: systemClock,
    service: () => service,
  }, onDeploy);
  const { kvPath, serviceDid, publicUrl, ...rest } = config;
  const service = createSyncService({
    ...rest,
    publicUrl: publicUrl ?? `http://localhost:${listener.port}`,
    serviceDid: serviceDid ?? undefined,
    kv: kvPath,
  });
  await service.ready;
  return {
    service,
    port: listener.port,
    async stop() {
      // Before the listener, which would close connections at once, with edits unread.
      await service.shutdown();
      await new Promise((done) => setTimeout(done, LAST_WORDS));
      await listener.close();
    },
  };
}
