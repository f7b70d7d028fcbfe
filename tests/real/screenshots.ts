/**
 * Shows the demo as it looks, in light and dark, on a desk and on a phone:
 *
 *     deno run --allow-all tests/real/screenshots.ts <folder>
 *
 * `light.png` and `dark.png` are the README's.
 */
import { buildPage } from "../../src/demo/build.ts";
import { castOn, madeUpCast, startDemo } from "../../src/demo/demo.ts";
import { installedPds, PdsServer } from "../../src/demo/pds_server.ts";
import { freePort } from "../free_port.ts";
import { DemoWindow, findBrowser, startBrowser } from "./browser.ts";

const [folder = "."] = Deno.args;
const place = await findBrowser();
if (place === null) Deno.exit(1);

const DESK = { width: 1100, height: 640 };
const PHONE = { width: 390, height: 780 };
const TEXT = [
  "A tessera is a Roman ticket, and one piece of a mosaic that many hands lay.",
  "",
  "1.  The floor of the east room is nearly done. The blue tiles from Tyre have come; nine are chipped, and the merchant takes them back.",
  "",
  "2.  ",
].join("\n");

const url = `http://localhost:${freePort()}`;
const installed = await installedPds();
const pds = installed === null ? null : await PdsServer.start(installed);
const cast = pds === null ? madeUpCast() : await castOn(pds, url);
const demo = startDemo({ page: await buildPage(), cast, url, kv: ":memory:", pds });
const browser = await startBrowser(place);
const handle = (name: string) =>
  cast.accounts.find((account) => account.handle.startsWith(name))!.handle;

const blank = await browser.newPage({ viewport: DESK });
await blank.goto(`${url}/demo/`);
await blank.locator("#accounts button").first().waitFor();
await blank.screenshot({ path: `${folder}/accounts.png` });

const open = (name: string, colorScheme: "light" | "dark") =>
  DemoWindow.open(browser, `${url}/demo/`, name, { viewport: DESK, colorScheme });
const alice = await (await open("alice", "light")).is("saved");
await alice.type(TEXT);
await alice.add(handle("bob"), "writer");
const bob = await (await open("bob", "dark")).is("saved");
const carol = await (await open("carol", "dark")).is("denied");
await bob.type("Bob asks for more grout before the rain");
await alice.add(handle("carol"), "writer");
await carol.page.getByText("Ask again").click();
await carol.is("saved");
await carol.page.locator(".cm-line").nth(2).click();
await alice.sees(handle("bob"));
await alice.sees(handle("carol"));
await alice.is("saved");
await alice.page.screenshot({ path: `${folder}/light.png` });
await alice.page.locator(".cm-content").click();
await bob.sees(handle("alice"));
await bob.page.screenshot({ path: `${folder}/dark.png` });

await alice.share(async (dialog) => {
  await dialog.locator("#members li").nth(1).waitFor();
  await alice.page.screenshot({ path: `${folder}/share.png` });
});
for (const [name, { page }] of [["alice", alice], ["bob", bob]] as const) {
  await page.setViewportSize(PHONE);
  await page.screenshot({ path: `${folder}/phone-${name}.png` });
}
await alice.share(async () => {
  await alice.page.screenshot({ path: `${folder}/phone-share.png` });
});
await bob.page.locator("#cut").click();
await bob.type(", and types on");
await bob.is("offline");
await bob.page.screenshot({ path: `${folder}/phone-offline.png` });

await browser.close();
await demo.stop();
await pds?.[Symbol.asyncDispose]();
