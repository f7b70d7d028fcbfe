import type { SyncServiceConfig } from "../../src/mod.ts";
import { DEFAULT_LIMITS } from "../../src/limits/limits.ts";
import { listen as listenOn } from "../../src/transport/listener.ts";
import { handshake } from "./handshake.ts";
import { ALICE, GET_TICKET, startService, TOKEN } from "./service.ts";

/**
 * A service that listens, and a way to knock: the status, and the name of the error if there is one.
 * @param onDeploy With `Deno.serve`, as for Deno Deploy and those who embed the service.
 */
export async function listen(config: Partial<SyncServiceConfig> = {}, onDeploy = false) {
  const it = await startService({ ...config });
  const server = await listenOn({
    port: 0,
    hostname: "127.0.0.1",
    reusePort: false,
    limits: { ...DEFAULT_LIMITS, ...config.limits },
    trustedProxies: config.trustedProxies ?? [],
    clock: it.clock,
    service: () => it.service,
  }, onDeploy);
  const knock = async (
    path: string,
    protocol?: string,
    headers: Record<string, string | null> = {},
  ) => {
    const answer = await handshake(server.port, path, {
      ...(protocol !== undefined && { "sec-websocket-protocol": protocol }),
      ...headers,
    });
    return answer.status === 101
      ? `101 ${answer.headers.get("sec-websocket-protocol") ?? "-"}`
      : `${answer.status} ${JSON.parse(answer.body).error}`;
  };
  const ticket = async (room: string, did = ALICE) =>
    `authorization, ${(await (await it.callAs(GET_TICKET, { room, did })).json()).ticket}`;
  const token = async (did = ALICE) =>
    `authorization, ${
      (await (await it.callAs(`${TOKEN}?did=${encodeURIComponent(did)}`)).json()).token
    }`;
  return {
    ...it,
    port: server.port,
    knock,
    ticket,
    token,
    async [Symbol.asyncDispose]() {
      await it[Symbol.asyncDispose]();
      await server.close();
    },
  };
}
