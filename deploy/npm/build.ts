/**
 * Builds the client library as an npm package, and says how much of a page it takes:
 *
 *     deno task build:client
 *     npm publish deploy/npm/package --access public
 *
 * (On JSR it goes as it is: `cd src/client && deno publish`.)
 */
import project from "../../deno.json" with { type: "json" };
import { bundle, compressedSize, inKB } from "../../src/demo/bundle.ts";
import { mustRun } from "../../src/demo/run.ts";

const CLIENT = new URL("../../src/client/", import.meta.url).pathname;
const FOLDER = new URL("./package/", import.meta.url).pathname;

/** What an app has one of, and only one: two copies of Yjs do not know each other's types. */
const PEER = "yjs";

await Deno.remove(FOLDER, { recursive: true }).catch(() => {});
await Deno.mkdir(FOLDER);
const archive = await Deno.makeTempFile({ suffix: ".tgz" });
const pack = ["pack", "--quiet", "--allow-dirty", "--no-source-maps", "--output", archive];
await mustRun(Deno.execPath(), pack, CLIENT);
const unpack = ["--extract", "--gzip", `--file=${archive}`, "--strip=1", `--directory=${FOLDER}`];
await mustRun("tar", unpack, CLIENT);
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
await Deno.copyFile(`${CLIENT}../../LICENSE`, `${FOLDER}LICENSE`);

console.log(`${FOLDER} is ready.`);
const own = [PEER, "y-protocols/*", "lib0/*"];
console.log(`In a page, minified and compressed: ${await size(PEER)} beside ${PEER},`);
console.log(`of which ${await size(...own)} are not y-protocols or lib0.`);

/** What it comes to in a bundle without some packages. */
async function size(...without: string[]): Promise<string> {
  return inKB(await compressedSize(await bundle(CLIENT, "mod.ts", without)));
}
