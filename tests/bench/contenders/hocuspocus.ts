import { ServerProcess } from "../server_process.ts";
import { hocuspocus as dialect } from "../wire/dialect.ts";
import type { Contender } from "./contender.ts";
import { freePort } from "../../free_port.ts";
import { installPeers, NODE_22, PEERS } from "./peers.ts";

const SCRIPT = new URL("hocuspocus_server.mjs", import.meta.url).pathname;

/** hocuspocus 4, everything in memory. */
export const hocuspocus: Contender = server("hocuspocus", () => ({}));

/** The same, with its SQLite extension: it stores a document some seconds after an edit. */
export const hocuspocusSqlite: Contender = server("hocuspocus-sqlite", (folder) => ({
  SQLITE: `${folder}/hocuspocus.sqlite`,
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
        command: [...under, NODE_22, SCRIPT],
        env: { PEERS, PORT: String(port), NODE_ENV: "production", ...env(folder) },
        ready: /Ready\.|HTTP: /,
      });
      const address = () => ({ url: `ws://127.0.0.1:${port}/`, protocols: [] });
      return { process, dialect, address };
    },
  };
}
