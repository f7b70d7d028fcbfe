/**
 * Builds the demo's page, and says how large it is:
 *
 *     deno task build:demo
 */
const PAGE = new URL("./page/", import.meta.url).pathname;

/** The editor's packages are pinned beside those of the tests: see the README, "Working on it". */
const LOCK = `--lock=${new URL("../../tests/deno.lock", import.meta.url).pathname}`;

/** What a browser is given, by name. */
export type Page = Map<string, { body: Uint8Array<ArrayBuffer>; type: string }>;

/** Builds the page. */
export async function buildPage(): Promise<Page> {
  const bundle = await Deno.makeTempFile({ suffix: ".js" });
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "bundle",
      LOCK,
      "--quiet",
      "--platform",
      "browser",
      "--minify",
      "--output",
      bundle,
      "app.ts",
    ],
    cwd: PAGE,
    stdout: "null",
    stderr: "piped",
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  const script = await Deno.readFile(bundle);
  await Deno.remove(bundle);
  return new Map([
    ["", { body: await Deno.readFile(`${PAGE}index.html`), type: "text/html; charset=utf-8" }],
    ["app.js", { body: script, type: "text/javascript; charset=utf-8" }],
    ["style.css", {
      body: await Deno.readFile(`${PAGE}style.css`),
      type: "text/css; charset=utf-8",
    }],
    ["icon.svg", { body: await Deno.readFile(`${PAGE}icon.svg`), type: "image/svg+xml" }],
  ]);
}

if (import.meta.main) {
  for (const [name, { body }] of await buildPage()) {
    const packed = new Response(body).body!.pipeThrough(new CompressionStream("gzip"));
    const { size } = await new Response(packed).blob();
    const [whole, compressed] = [body.length, size].map((bytes) =>
      `${(bytes / 1_000).toFixed(1)} KB`
    );
    console.log(`${name || "index.html"}: ${whole}, ${compressed} compressed`);
  }
}
