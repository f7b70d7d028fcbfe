import { assert, assertEquals } from "@std/assert";
import { BREAKS } from "./break_list.ts";
import { simulate } from "./world.ts";

Deno.test("V1: in hundreds of simulated worlds nothing acknowledged is lost, and all agree in the end", async () => {
  for (let seed = 0; seed < 300; seed++) {
    const { faults } = await simulate(seed);
    assertEquals(faults, [], `replay it with: deno task sim --seed ${seed}`);
  }
});

Deno.test("V2: a world unfolds from its seed alone", async () => {
  const [one, two] = [await simulate(42), await simulate(42)];
  assertEquals(one, two);
});

Deno.test("V1: each deliberate fault of `deno task sim:break` still finds what it breaks", async () => {
  for (const { name, file, replace } of BREAKS) {
    const source = await Deno.readTextFile(new URL(`../../${file}`, import.meta.url));
    assert(source.includes(replace), `"${name}" finds nothing to break in ${file}`);
  }
});
