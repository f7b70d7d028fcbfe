import { assert, assertEquals } from "@std/assert";
import { ALICE, DEV_TOKEN } from "../outside/clients.ts";
import { ServerProcess } from "../outside/server_process.ts";
import { testReal } from "./real_test.ts";
import { NODE, nodeIn, npmPackages } from "../../src/demo/npm_packages.ts";
import { mustRun } from "../../src/demo/run.ts";

const packages = await npmPackages("client-4", {
  ...NODE,
  "@atproto/api": "0.21.0",
  typescript: "5.9.3",
  lib0: "0.2.120",
  "y-protocols": "1.0.7",
  yjs: "13.6.33",
});

const ROOT = new URL("../../", import.meta.url).pathname;

/** What somebody writes who has installed the package. */
const APP = `
import { Agent, CredentialSession } from "@atproto/api";
import { devToken, type GetTicket, ProviderError, serviceAuth, TesseraProvider } from "@tessera/client";
import * as Y from "yjs";

const agent = new Agent(new CredentialSession(new URL("https://pds.example.com")));
const inProduction: GetTicket = serviceAuth(agent);
const endpoint = process.argv[2]!;
const unused = new TesseraProvider("notes", new Y.Doc(), { endpoint, getTicket: inProduction, connect: false });
// @ts-expect-error: there is no such event
unused.addEventListener("staus", () => {});
unused.destroy();

const getTicket = devToken(process.argv[3]!, process.argv[4]!);
const open = () => {
  const doc = new Y.Doc();
  return { doc, provider: new TesseraProvider("notes", doc, { endpoint, getTicket }) };
};
const [one, two] = [open(), open()];
one.doc.getText("text").insert(0, "Hello from Node");
await one.provider.saved();
while (two.doc.getText("text").length === 0) {
  await new Promise((resolve) => two.doc.once("update", resolve));
}
console.log(two.doc.getText("text").toString());
for (const { doc } of [one, two]) doc.destroy();
const failure: string = await one.provider.saved().then(() => "saved", (error: ProviderError) => error.name);
console.log(failure);
`;

testReal(
  "J16: what the build makes of the client type-checks, runs in Node and lets it end, and is small",
  packages,
  async (folder) => {
    const printed = await mustRun(Deno.execPath(), ["task", "build:client"], ROOT);
    const [all, own] = [...printed.matchAll(/([\d.]+) KB/g)].map(([, size]) => Number(size));
    assert(own! > 1 && own! < 11 && all! < 14, printed);

    const app = await Deno.makeTempDir({ dir: folder });
    try {
      const installed = `${app}/node_modules/@tessera/client`;
      await Deno.mkdir(`${app}/node_modules/@tessera`, { recursive: true });
      await mustRun("cp", ["-r", `${ROOT}deploy/npm/package`, installed], app);
      await Deno.writeTextFile(`${app}/package.json`, `{ "type": "module" }`);
      await Deno.writeTextFile(`${app}/app.ts`, APP);
      await Deno.writeTextFile(`${app}/process.d.ts`, `declare const process: { argv: string[] };`);
      const checks =
        "--strict --module nodenext --target es2023 --lib es2024,dom --types --skipLibCheck";
      const tsc = [`${folder}/node_modules/typescript/bin/tsc`, ...checks.split(" ")];
      await mustRun(nodeIn(folder), [...tsc, "app.ts", "process.d.ts"], app);

      await using server = await ServerProcess.start({
        KV_PATH: ":memory:",
        UNSAFE_DEV_TOKEN: DEV_TOKEN,
      });
      const said = await mustRun(
        nodeIn(folder),
        ["app.js", server.url, DEV_TOKEN, ALICE],
        app,
      );
      assertEquals(said, "Hello from Node\nsaved\n");
    } finally {
      await Deno.remove(app, { recursive: true });
    }
  },
);
