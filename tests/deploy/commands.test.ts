import { assert, assertEquals } from "@std/assert";
import { freePort } from "../free_port.ts";
import { ALICE, connectPeer, DEV_TOKEN } from "../outside/clients.ts";
import { linesOf } from "../outside/server_process.ts";
import { type ShippedCommand, shippedCommands } from "./commands.ts";

const ROOT = new URL("../../", import.meta.url).pathname.replace(/\/$/, "");

/** Runs a shipped command with its paths in this checkout and in `folder`, and uses what it serves. */
async function tryCommand(shipped: ShippedCommand, workers: number, folder: string): Promise<void> {
  const { command, env, code, data, deno } = shipped;
  const here = (text: string) => {
    const moved = text.replaceAll(data, folder);
    return code === "" ? moved : moved.replaceAll(new RegExp(`${code}(?=/|$)`, "g"), ROOT);
  };
  assertEquals(command[0], deno);
  const moved = Object.entries(env).map(([name, value]) => [name, here(String(value))]);
  const { DENO_DIR: _, KV_PATH: __, ...settings } = Object.fromEntries(moved);
  // What is not on this machine: the KV server, the public host, the ports.
  const child = new Deno.Command(Deno.execPath(), {
    args: command.slice(1).map(here),
    cwd: ROOT,
    env: {
      ...settings,
      DATA_DIR: folder,
      PORT: "0",
      ...settings.METRICS_PORT === undefined ? {} : { METRICS_PORT: String(freePort()) },
      PUBLIC_URL:
        settings.PUBLIC_URL?.replace("${SYNC_HOST:?the name that clients know}", "x.example") ?? "",
      LOG_FORMAT: "json",
      WORKERS: String(workers),
      UNSAFE_DEV_TOKEN: DEV_TOKEN,
      UNSAFE_DEV_TOKEN_IN_PUBLIC: "true",
      NO_COLOR: "1",
    },
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const log: string[] = [];
  const ready = Promise.withResolvers<string>();
  const printed = linesOf(child, (line) => {
    log.push(line);
    const listening = / is ready at /.test(line) ? JSON.parse(line).listening : undefined;
    if (listening !== undefined) ready.resolve(listening.split(":").at(-1));
  });
  try {
    const port = await Promise.race([ready.promise, printed]);
    assert(port !== undefined, `it did not start:\n${log.join("\n")}`);
    const url = `http://127.0.0.1:${port}`;
    for (let n = 0; n < 2 * workers; n++) {
      const alice = await connectPeer({ url, socketUrl: `ws://127.0.0.1:${port}` }, ALICE, "room");
      alice.text.insert(0, "hello");
      alice.probe(n);
      await alice.hears(`ack ${n}`);
      alice.leave();
    }
    // A task runs the program as a child of its own.
    child.kill("SIGINT");
    await printed;
    assert(log.some((line) => line.includes('"stopped"')), log.join("\n"));
  } finally {
    try {
      child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await child.status;
  }
}

for (const shipped of await shippedCommands()) {
  for (const workers of [1, 2]) {
    Deno.test(`K6: the command of ${shipped.name} serves with WORKERS=${workers}`, async () => {
      const folder = await Deno.makeTempDir();
      await tryCommand(shipped, workers, folder);
      await Deno.remove(folder, { recursive: true });
    });
  }
}
