import { assertEquals } from "@std/assert";
import { bundle } from "../../src/demo/bundle.ts";
import { NODE, nodeIn, npmPackages } from "../../src/demo/npm_packages.ts";
import { ALICE, BOB, DEV_TOKEN, getTicket } from "../outside/clients.ts";
import { ServerProcess } from "../outside/server_process.ts";
import { until } from "../until.ts";
import { findBrowser, startBrowser } from "./browser.ts";
import { testReal } from "./real_test.ts";

const [chromium, packages] = [
  await findBrowser(),
  await npmPackages("y-websockets-1", {
    ...NODE,
    yjs: "13.6.33",
    "y-websocket-1": "npm:y-websocket@1.5.4",
    "y-websocket-2": "npm:y-websocket@2.1.0",
    "y-websocket-3": "npm:y-websocket@3.1.0",
  }),
];
/** A stock client: writes its line, waits until there are three, and shows what it reads and whom it sees. */
const CLIENT = `
import * as Y from "yjs";
const [version, url, room, ticket] = process.argv.slice(2);
const { WebsocketProvider } = await import("y-websocket-" + version);
const doc = new Y.Doc();
const lines = doc.getArray("lines");
const protocols = ["authorization", ticket];
// The first knows no sub-protocols, but takes any WebSocket.
const WebSocketPolyfill = class extends WebSocket {
  constructor(url) {
    super(url, protocols);
  }
};
const way = version === "1" ? { WebSocketPolyfill } : { protocols };
const provider = new WebsocketProvider(url, room, doc, { ...way, disableBc: true });
provider.awareness.setLocalState({ version });
await new Promise((resolve) => provider.once("sync", resolve));
lines.push(["y-websocket " + version]);
while (lines.length < 3) await new Promise((resolve) => doc.once("update", resolve));
const all = () => [...provider.awareness.getStates().values()].filter((state) => state.version);
while (all().length < 3) await new Promise((resolve) => provider.awareness.once("change", resolve));
console.log(JSON.stringify({ lines: lines.toArray(), dids: all().map(({ did }) => did ?? null) }));
await new Promise((resolve) => process.stdin.once("end", resolve).resume());
provider.destroy();
process.exit(0);
`;

testReal(
  "O28: y-websocket 1, 2 and 3 meet in one room",
  packages,
  async (packages) => {
    await using server = await ServerProcess.start({
      KV_PATH: ":memory:",
      UNSAFE_DEV_TOKEN: DEV_TOKEN,
    });
    const script = `${packages}/client.mjs`;
    await Deno.writeTextFile(script, CLIENT);
    const clients = await Promise.all(["1", "2", "3"].map(async (version) => {
      const ticket = await getTicket(server.url, ALICE, "notes");
      return new Deno.Command(nodeIn(packages), {
        args: [script, version, `${server.socketUrl}/sync`, "notes", ticket],
        stdin: "piped",
        stdout: "piped",
        stderr: "inherit",
      }).spawn();
    }));
    const reports = await Promise.all(clients.map(async ({ stdout }) => {
      const reader = stdout.pipeThrough(new TextDecoderStream()).getReader();
      let printed = "";
      while (!printed.endsWith("\n")) printed += (await reader.read()).value ?? "\n";
      await reader.cancel();
      return JSON.parse(printed);
    }));
    for (const { stdin } of clients) await stdin.close();
    for (const { status } of clients) assertEquals((await status).code, 0);
    const lines = [1, 2, 3].map((version) => `y-websocket ${version}`);
    for (const report of reports) {
      assertEquals(report.lines, reports[0].lines);
      assertEquals(report.lines.toSorted(), lines);
      // What a client says of itself it knows without a DID.
      assertEquals(report.dids.toSorted(), [ALICE, ALICE, null]);
    }
  },
);

const EDITORS = { codemirror: ".cm-content", prosemirror: ".ProseMirror", tiptap: ".tiptap" };
const CARETS = {
  codemirror: ".cm-ySelectionInfo",
  prosemirror: ".ProseMirror-yjs-cursor",
  tiptap: ".collaboration-carets__label",
};

/** The page with the editors. */
async function servePage() {
  const folder = new URL("./editors/", import.meta.url).pathname;
  const script = await bundle(folder, "page.ts");
  const html = await Deno.readTextFile(`${folder}index.html`);
  const address = { port: 0, hostname: "localhost", onListen: () => {} };
  return Deno.serve(address, ({ url }) => {
    const isScript = url.endsWith(".js");
    const type = isScript ? "text/javascript" : "text/html";
    return new Response(isScript ? script : html, { headers: { "content-type": type } });
  });
}

testReal(
  "O29: CodeMirror, ProseMirror and Tiptap, by their stock bindings, share a document and show carets",
  chromium,
  async (chromium) => {
    await using server = await ServerProcess.start({
      KV_PATH: ":memory:",
      UNSAFE_DEV_TOKEN: DEV_TOKEN,
    });
    await using pages = await servePage();
    await using browser = await startBrowser(chromium);
    const errors: string[] = [];
    const open = async (editor: string, did: string) => {
      const page = await browser.newPage();
      page.on("pageerror", (error) => errors.push(`${editor}: ${error}`));
      const query = new URLSearchParams({ endpoint: server.url, editor, did, token: DEV_TOKEN });
      await page.goto(`http://localhost:${pages.addr.port}/?${query}`);
      return page;
    };
    for (const [editor, selector] of Object.entries(EDITORS)) {
      const [hers, his] = [await open(editor, ALICE), await open(editor, BOB)];
      const saved = (page: typeof hers) => page.locator("html[data-state=saved]").waitFor();
      const reads = (page: typeof hers, text: string) =>
        until(async () => (await page.locator(selector).innerText()).includes(text));
      await Promise.all([hers, his].map(saved));
      await hers.locator(selector).click();
      await hers.keyboard.type("Hello, Bob.");
      await reads(his, "Hello, Bob.");
      await his.locator(CARETS[editor as keyof typeof CARETS]).filter({ hasText: ALICE }).waitFor();
      await his.locator(selector).click();
      await his.keyboard.press("Control+Home");
      await his.keyboard.type("Hello, Alice. ");
      await reads(hers, "Hello, Alice.");
      await Promise.all([hers, his].map(saved));
      await his.close(); // and his caret is gone from between the two
      await hers.reload();
      await reads(hers, "Hello, Alice. Hello, Bob.");
      await hers.close();
    }
    assertEquals(errors, []);
  },
);
