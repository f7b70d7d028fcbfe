/**
 * Builds the demo's page, and says how large it is:
 *
 *     deno task build:demo
 */
import { bundle, compressedSize, inKB } from "./bundle.ts";

const PAGE = new URL("./page/", import.meta.url).pathname;

/** What a browser is given, by name. */
export type Page = Map<string, { body: Uint8Array<ArrayBuffer>; type: string }>;

/** Builds the page. */
export async function buildPage(): Promise<Page> {
  return new Map([
    ["", { body: await Deno.readFile(`${PAGE}index.html`), type: "text/html; charset=utf-8" }],
    ["app.js", { body: await bundle(PAGE, "app.ts"), type: "text/javascript; charset=utf-8" }],
    ["style.css", {
      body: await Deno.readFile(`${PAGE}style.css`),
      type: "text/css; charset=utf-8",
    }],
    ["icon.svg", { body: await Deno.readFile(`${PAGE}icon.svg`), type: "image/svg+xml" }],
  ]);
}

if (import.meta.main) {
  for (const [name, { body }] of await buildPage()) {
    const compressed = inKB(await compressedSize(body));
    console.log(`${name || "index.html"}: ${inKB(body.length)}, ${compressed} compressed`);
  }
}
