/**
 * The demo: a service on this machine, a PDS beside it if one is installed, and a page.
 *
 *     deno task demo
 */
import { readArgs } from "../cli/args.ts";
import { buildPage } from "./build.ts";
import { castOn, madeUpCast, startDemo } from "./demo.ts";
import { installedPds, PdsServer } from "./pds_server.ts";

readArgs(
  `usage: deno task demo
Serves an editor for three people at http://localhost:8000/demo/. PORT=<port> chooses another port.`,
  {},
);
const url = `http://localhost:${Deno.env.get("PORT") ?? 8000}`;
const page = await buildPage();
const folder = await installedPds();
const pds = folder === null ? null : await PdsServer.start(folder);
const cast = pds === null ? madeUpCast() : await castOn(pds, url);
// With a PDS, the accounts are new each time, and nobody would be left who may read the old documents.
const demo = startDemo({ page, cast, url, kv: ":memory:", pds });

console.log(
  pds === null
    ? "There is no PDS here, so a development token stands for everybody.\n" +
      "(`deno task test:real` installs one.)"
    : `Alice, Bob and Carol have accounts on a PDS of this machine, ${pds.url}.`,
);
console.log(`The demo is at ${url}/demo/. Open it in two windows.`);

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.addSignalListener(signal, async () => {
    await demo.stop();
    await pds?.[Symbol.asyncDispose]();
    Deno.exit(0);
  });
}
