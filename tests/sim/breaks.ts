/**
 * Shows that the simulation can fail: `deno task sim:break [--seeds 200]` breaks a copy of `src/` on
 * purpose, one way at a time, and says how many worlds notice.
 */
import { readArgs } from "../../src/cli/args.ts";
import { BREAKS } from "./break_list.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

const { values } = readArgs("usage: deno task sim:break [--seeds <number>]", {
  seeds: { type: "string", default: "200" },
});

for (const { name, file, replace, by } of BREAKS) {
  const copy = await Deno.makeTempDir();
  for (const part of ["src", "tests", "deno.json", "deno.lock"]) {
    await new Deno.Command("cp", { args: ["-r", `${ROOT}${part}`, copy] }).output();
  }
  const source = await Deno.readTextFile(`${copy}/${file}`);
  if (!source.includes(replace)) throw new Error(`"${name}" finds nothing to break in ${file}`);
  await Deno.writeTextFile(`${copy}/${file}`, source.replace(replace, by));
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-check", "--allow-all", "tests/sim/main.ts", "--seeds", values.seeds],
    cwd: copy,
    stderr: "null",
  }).output();
  const printed = new TextDecoder().decode(stdout);
  const seeds = [...printed.matchAll(/^seed (\d+):/gm)].map(([, seed]) => seed);
  const died = printed.includes(" worlds passed") ? "" : ", and the rest of the run";
  console.log(
    `${seeds.length} of ${values.seeds}${died}: ${name} (${seeds.slice(0, 5).join(", ")})`,
  );
  await Deno.remove(copy, { recursive: true });
}
