import type { SyncServiceConfig } from "../../src/mod.ts";
import { handshake } from "./handshake.ts";
import { ALICE, GET_TICKET, startService, TOKEN } from "./service.ts";

/** A service that listens, and a way to knock: the status, and the name of the error if there is one. */
export async function listen(config: Partial<SyncServiceConfig> = {}) {
  const it = await startService({ ...config });
  const server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    it.service.fetch,
  );
  const knock = async (
    path: string,
    protocol?: string,
    headers: Record<string, string | null> = {},
  ) => {
    const answer = await handshake(server.addr.port, path, {
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
    port: server.addr.port,
    knock,
    ticket,
    token,
    async [Symbol.asyncDispose]() {
      await it[Symbol.asyncDispose]();
      await server.shutdown();
    },
  };
}
