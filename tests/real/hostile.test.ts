/** The attacks of `tests/hostile` in full doses. The short ones are part of `deno task test`. */
Deno.env.set("HOSTILE_DOSE", "long");

const folder = new URL("../hostile/", import.meta.url);
for await (const { name } of Deno.readDir(folder)) {
  if (name.endsWith(".test.ts")) await import(new URL(name, folder).href);
}
