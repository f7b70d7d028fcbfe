import { ServerProcess } from "../server_process.ts";
import { relayed } from "../wire/dialect.ts";
import type { Contender } from "./contender.ts";

const SCRIPT = new URL("relay_server.ts", import.meta.url).pathname;

/** The floor: what Deno's sockets cost by themselves. */
export const relay: Contender = {
  name: "relay",
  durable: false,
  syncs: false,
  async start({ under = [] }) {
    const process = await ServerProcess.start({
      command: [...under, Deno.execPath(), "run", "--allow-net", SCRIPT],
      ready: /Listening on http:\/\/127\.0\.0\.1:(\d+)/,
    });
    const base = `ws://127.0.0.1:${process.announced[1]}`;
    return {
      process,
      dialect: relayed,
      address: (room) => ({ url: `${base}/${room}`, protocols: [] }),
    };
  },
};
