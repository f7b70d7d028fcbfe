import project from "../../../deno.json" with { type: "json" };
import { ServerProcess } from "../server_process.ts";
import { plain } from "../wire/dialect.ts";
import type { Contender, Running, Start } from "./contender.ts";

/** What is measured runs with the flags of what is used. */
const START_FLAGS = project.tasks.start.split(" ").slice(1, -1);
const MAIN = new URL("../../../main.ts", import.meta.url).pathname;

const DEV_TOKEN = "dev-token-of-the-benchmark";
const DID = "did:web:bench.example";

/** All clients here have one address and one DID, and write as fast as they can. */
const NO_LIMIT = "1000000000";

/** This service, durable, on a file. */
export const tessera: Contender = withWorkers("tessera", 1);

/** The same with two threads, on one port. */
export const tessera2: Contender = withWorkers("tessera-2", 2);

function withWorkers(name: string, workers: number): Contender {
  return {
    name,
    durable: true,
    syncs: true,
    start: (options) => start(options, workers),
  };
}

async function start({ folder, env, under = [] }: Start, workers: number): Promise<Running> {
  const process = await ServerProcess.start({
    command: [...under, Deno.execPath(), ...START_FLAGS, MAIN],
    env: {
      PORT: "0",
      WORKERS: String(workers),
      HOST: "127.0.0.1",
      LOG_FORMAT: "json",
      KV_PATH: `${folder}/tessera.sqlite3`,
      UNSAFE_DEV_TOKEN: DEV_TOKEN,
      MAX_CONNECTIONS_PER_DID: NO_LIMIT,
      MAX_CONNECTIONS_PER_ADDRESS: NO_LIMIT,
      REQUESTS_PER_ADDRESS: NO_LIMIT,
      MAX_REQUESTS_PER_ADDRESS: NO_LIMIT,
      CALLS_PER_DID: NO_LIMIT,
      MESSAGES_PER_SECOND: NO_LIMIT,
      BYTES_PER_SECOND: NO_LIMIT,
      ...env,
    },
    ready: / is ready at http:\/\/localhost:(\d+) /,
  });
  const base = `ws://127.0.0.1:${process.announced[1]}/sync/as/${DID}`;
  return {
    process,
    dialect: plain,
    address: (room) => ({ url: `${base}/${room}`, protocols: ["authorization", DEV_TOKEN] }),
  };
}
