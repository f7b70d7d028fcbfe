/**
 * Prints the licence of each package in `tests/deno.lock`, and fails on one that is not on our list: part of
 * `deno task audit`, which has installed them all.
 */
const ROOT = new URL("../../", import.meta.url).pathname;

/** Licences that ask for no more than to be named. */
const GOOD =
  /^(MIT|ISC|0BSD|BSD-[23]-Clause|Apache-2\.0|Unlicense|CC0-1\.0|BlueOak-1\.0\.0|Python-2\.0)$/;

interface Manifest {
  license?: string | { type: string };
}

const info = await new Deno.Command(Deno.execPath(), { args: ["info", "--json"] }).output();
const { npmCache } = JSON.parse(new TextDecoder().decode(info.stdout));
const lock = JSON.parse(await Deno.readTextFile(`${ROOT}tests/deno.lock`));

/** As in the lock file, where a package may be followed by what it was resolved with. */
function parse(key: string): { name: string; version: string } {
  const [, name, version] = /^(@?[^@]+)@([^_]+)/.exec(key)!;
  return { name: name!, version: version! };
}

async function licenceOf(name: string, version: string): Promise<string> {
  const path = `${npmCache}/registry.npmjs.org/${name}/${version}/package.json`;
  const { license }: Manifest = JSON.parse(await Deno.readTextFile(path));
  return typeof license === "object" ? license.type : license ?? "none";
}

/** Of `(A OR B)` one will do, of `(A AND B)` it takes both. */
const isGood = (licence: string) =>
  licence.replace(/^\(|\)$/g, "").split(" OR ")
    .some((choice) => choice.split(" AND ").every((each) => GOOD.test(each)));

const found = new Map<string, string[]>();
for (const key of Object.keys(lock.npm)) {
  const { name, version } = parse(key);
  const licence = await licenceOf(name, version);
  found.set(licence, [...found.get(licence) ?? [], `${name}@${version}`]);
}
const bad = [...found.keys()].filter((licence) => !isGood(licence));
for (const [licence, packages] of [...found].sort()) {
  console.log(`${licence}: ${[...new Set(packages)].sort().join(", ")}`);
}
for (const licence of bad) console.error(`NOT ON OUR LIST: ${licence}`);
Deno.exit(bad.length > 0 ? 1 : 0);
