import { ServerProcess } from "../server_process.ts";
import { plain } from "../wire/dialect.ts";
import type { Contender } from "./contender.ts";
import { freePort } from "../../free_port.ts";
import { installPeers, PEERS } from "./peers.ts";

/** y-websocket 2's own server, everything in memory. */
export const yWebsocket: Contender = server("y-websocket", () => ({}));

/** The same, with its own persistence. */
export const yLeveldb: Contender = server("y-leveldb", (folder) => ({
  YPERSISTENCE: `${folder}/leveldb`,
}));

function server(name: string, env: (folder: string) => Record<string, string>): Contender {
  return {
    name,
    durable: Object.keys(env("")).length > 0,
    syncs: true,
    prepare: installPeers,
    async start({ folder, under = [] }) {
      const port = freePort();
      const process = await ServerProcess.start({
        command: [...under, "node", `${PEERS}/node_modules/y-websocket/bin/server.cjs`],
        env: { HOST: "127.0.0.1", PORT: String(port), NODE_ENV: "production", ...env(folder) },
        ready: /running at/,
      });
      const address = (room: string) => ({ url: `ws://127.0.0.1:${port}/${room}`, protocols: [] });
      return { process, dialect: plain, address };
    },
  };
}
