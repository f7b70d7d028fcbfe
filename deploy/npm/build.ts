/**
 * Builds the client library as an npm package, and says how much of a page it takes:
 *
 *     deno task build:client
 *     npm publish deploy/npm/package --access public
 *
 * (On JSR it goes as it is: `cd src/client && deno publish`.)
 */
import project from "../../deno.json" with { type: "json" };

const CLIENT = new URL("../../src/client/", import.meta.url).pathname;
const FOLDER = new URL("./package/", import.meta.url).pathname;

/** What an app has one of, and only one: two copies of Yjs do not know each other's types. */
const PEER = "yjs";

await Deno.remove(FOLDER, { recursive: true }).catch(() => {});
await Deno.mkdir(FOLDER);
const archive = await Deno.makeTempFile({ suffix: ".tgz" });
await run("deno", "pack", "--quiet", "--allow-dirty", "--no-source-maps", "--output", archive);
await run("tar", "--extract", "--gzip", `--file=${archive}`, "--strip=1", `--directory=${FOLDER}`);
await Deno.remove(archive);

// `deno pack` knows of no peers, nor of what is only for people.
const manifest = JSON.parse(await Deno.readTextFile(`${FOLDER}package.json`));
await Deno.writeTextFile(
  `${FOLDER}package.json`,
  JSON.stringify(
    {
      ...manifest,
      description: "Keeps Yjs documents in sync with a Tessera service, for apps on ATProto",
      keywords: ["yjs", "crdt", "collaboration", "atproto", "y-websocket"],
      sideEffects: false,
      peerDependencies: { [PEER]: project.imports[PEER].split("@").at(-1) },
      engines: { node: ">=22" },
    },
    null,
    2,
  ),
);
for (const name of ["LICENSE"]) await Deno.copyFile(`${CLIENT}../../${name}`, FOLDER + name);

console.log(`${FOLDER} is ready.`);
const own = [PEER, "y-websocket", "y-protocols/*", "lib0/*"];
console.log(`In a page, minified and compressed: ${await size(PEER)} beside ${PEER},`);
console.log(`of which ${await size(...own)} are not y-websocket, y-protocols or lib0.`);

/** What it comes to in a bundle without some packages, in KB. */
async function size(...without: string[]): Promise<string> {
  const bundle = await Deno.makeTempFile({ suffix: ".js" });
  const external = without.flatMap((name) => ["--external", name]);
  const minified = ["--quiet", "--platform", "browser", "--minify"];
  await run("deno", "bundle", ...minified, ...external, "--output", bundle, "mod.ts");
  const { body } = new Response(await Deno.readFile(bundle));
  await Deno.remove(bundle);
  const { size } = await new Response(body!.pipeThrough(new CompressionStream("gzip"))).blob();
  return `${(size / 1_000).toFixed(1)} KB`;
}

async function run(command: string, ...args: string[]): Promise<void> {
  const path = command === "deno" ? Deno.execPath() : command;
  const options = { args, cwd: CLIENT, stdout: "null", stderr: "piped" } as const;
  const { success, stderr } = await new Deno.Command(path, options).output();
  if (success) return;
  throw new Error(`${command} ${args.join(" ")} failed:\n${new TextDecoder().decode(stderr)}`);
}
