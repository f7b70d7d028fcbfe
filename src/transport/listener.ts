import type { Clock } from "../clock.ts";
import type { Limits } from "../limits/limits.ts";
import type { SyncService } from "../service.ts";

/** What a listener needs. */
export interface ListenOptions {
  port: number;
  hostname: string;
  /** Other threads listen on the same port. */
  reusePort: boolean;
  limits: Pick<
    Limits,
    "messageBytes" | "pingTimeout" | "httpConnections" | "httpConnectionsPerAddress"
  >;
  /** Addresses and ranges of proxies, whose connections are not counted per address. */
  trustedProxies: string[];
  clock: Clock;
  /** Who answers. Called for each request, since the service may need the port. */
  service(): Pick<SyncService, "fetch" | "handle">;
}

/** A port that is served. */
export interface Listener {
  port: number;
  /** Takes no more connections, and ends those that there are. */
  close(): Promise<void>;
}

/** Whether Deno's `node:http` can refuse an upgrade: from 2.9 on, it does not rest on `Deno.serve` any more. */
function canRefuse(version: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return major > 2 || (major === 2 && minor >= 9);
}

/**
 * Listens on a port.
 * @param onDeploy The platform routes requests to `Deno.serve` alone.
 * @throws {Deno.errors.AddrInUse} and what else the system says
 */
export async function listen(options: ListenOptions, onDeploy: boolean): Promise<Listener> {
  const { listen } = onDeploy || !canRefuse(Deno.version.deno)
    ? await import("./deno_listener.ts")
    : await import("./node_listener.ts");
  return await listen(options);
}
