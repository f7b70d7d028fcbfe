import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { Browser } from "npm:playwright-core@^1.65.1";
import { buildPage } from "../../src/demo/build.ts";
import { castOn, type Demo, startDemo } from "../../src/demo/demo.ts";
import { findPds, PdsServer } from "../../src/demo/pds_server.ts";
import { freePort } from "../free_port.ts";
import { DemoWindow, findBrowser, startBrowser } from "./browser.ts";
import { Cable } from "./cable.ts";
import { testReal as testWith } from "./real_test.ts";

const [chromium, packages] = [await findBrowser(), await findPds()];
const needed = chromium === null || packages === null
  ? null
  : { chromium, packages, page: await buildPage() };

/** The demo as `deno task demo` starts it, a browser, and a line between the two. */
interface Stage {
  browser: Browser;
  url: string;
  cable: Cable;
  restart(): Promise<void>;
}

/** A test with a real browser and a real PDS. */
function testReal(rule: string, body: (stage: Stage) => Promise<void>): void {
  testWith(rule, needed, async ({ chromium, packages, page }) => {
    const folder = await Deno.makeTempDir();
    await using pds = await PdsServer.start(packages);
    await using browser = await startBrowser(chromium);
    const port = freePort();
    using cable = new Cable(port);
    const url = `http://localhost:${cable.port}`;
    const cast = await castOn(pds, url);
    const start = () => startDemo({ page, cast, url, port, kv: `${folder}/demo.sqlite3`, pds });
    let demo: Demo = start();
    const restart = async () => {
      await demo.stop();
      demo = start();
    };
    await body({ browser, url: `${url}/demo/`, cable, restart });
    await browser.close();
    await demo.stop();
    await Deno.remove(folder, { recursive: true });
  });
}

testReal(
  "O23: two accounts write in two browsers, and see each other by verified names",
  async ({ browser, url }) => {
    const alice = await (await DemoWindow.open(browser, url, "alice")).is("saved");
    await alice.type("Alice was here. ");
    await alice.is("saved");
    const bob = await (await DemoWindow.open(browser, url, "bob")).is("denied");
    assertStringIncludes(await bob.page.locator("#denied").innerText(), "private");

    await alice.add("bob.test", "writer");
    await bob.page.getByText("Ask again").click();
    await bob.is("saved");
    await bob.reads("Alice was here.");
    await bob.type("Bob too.");
    await alice.reads("Alice was here. Bob too.");
    await alice.sees("bob.test");
    await alice.page.locator(".cm-content").click();
    await bob.sees("alice.test");
  },
);

testReal(
  "O24: what is typed while the network is cut, or while the service restarts, is not lost",
  async ({ browser, url, cable, restart }) => {
    const alice = await (await DemoWindow.open(browser, url, "alice")).is("saved");
    await alice.add("bob.test", "writer");
    const bob = await (await DemoWindow.open(browser, url, "bob")).is("saved");
    await alice.type("Before. ");
    await bob.reads("Before.");

    cable.cut();
    await alice.is("offline");
    await bob.is("offline");
    await alice.type("Alice offline. ");
    await bob.type("Bob offline. ");
    cable.mend();
    for (const window of [alice, bob]) {
      await window.is("saved");
      await window.reads("Alice offline.");
      await window.reads("Bob offline.");
    }
    await bob.page.locator("#cut").click();
    await bob.type("By the switch. ");
    await bob.is("offline");
    await bob.kept();
    await bob.page.reload(); // a window that is closed offline has kept it
    await bob.reads("By the switch.");
    await bob.is("saved");
    await alice.reads("By the switch.");

    const restarted = restart();
    await alice.type("During a restart. ");
    await restarted;
    for (const window of [alice, bob]) {
      await window.reads("During a restart.");
      await window.is("saved");
    }
    assertEquals(await alice.text, await bob.text);
  },
);

testReal("O25: a reader cannot type, and who is taken out is told so", async ({ browser, url }) => {
  const alice = await (await DemoWindow.open(browser, url, "alice")).is("saved");
  await alice.type("Alice's words.");
  await alice.add("bob.test", "reader");
  const bob = await (await DemoWindow.open(browser, url, "bob")).is("saved");
  await bob.reads("Alice's words.");
  assertStringIncludes(await bob.page.locator("#notice").innerText(), "not edit");
  await bob.type(" Bob's.");
  assertEquals(await bob.text, "Alice's words.");

  await alice.share((dialog) => dialog.locator("#members select").selectOption("writer").then());
  await bob.page.locator("#notice").waitFor({ state: "hidden" });
  await bob.type(" Bob's.");
  await alice.reads("Alice's words. Bob's.");

  await alice.share(async (dialog) => {
    await dialog.getByText("Remove").click();
    await dialog.locator("#members li").waitFor({ state: "detached" });
  });
  await bob.is("denied");
  assertStringIncludes(await bob.page.locator("#denied").innerText(), "taken out");
});

testReal(
  "O26: no ticket, password or invite shows in an address, the history, the console or a request",
  async ({ browser, url }) => {
    const alice = await (await DemoWindow.open(browser, url, "alice")).is("saved");
    let link = "";
    await alice.share(async (dialog) => {
      await dialog.getByText("Copy a link").click();
      await dialog.locator("#invite-link").waitFor();
      link = await dialog.locator("#invite-link").inputValue();
    });
    const secret = new URLSearchParams(new URL(link).hash.slice(1)).get("invite")!;
    assert(secret.length > 20);
    const bob = await (await DemoWindow.open(browser, link, "bob")).is("saved");
    await bob.type("Let in by a link.");
    await alice.reads("Let in by a link.");

    const { accounts } = await (await fetch(`${url}cast.json`)).json();
    for (const { page, traces, tickets } of [alice, bob]) {
      const session = await page.context().newCDPSession(page);
      const { entries } = await session.send("Page.getNavigationHistory");
      traces.push(...entries.map((entry: { url: string }) => entry.url), page.url());
      assert(tickets.length > 0 && traces.some((trace) => trace.startsWith("socket: ")));
      const secrets = [
        ...tickets,
        ...accounts.map(({ password }: { password: string }) => password),
      ];
      for (const hidden of secrets) {
        assertEquals(traces.filter((trace) => trace.includes(hidden)), []);
      }
      // It is in the link that somebody follows, after the #; and nowhere once the page is there.
      const kept = traces.filter((trace) =>
        trace.includes(secret) && !trace.startsWith("address: ")
      );
      assertEquals(kept, []);
      assertEquals(traces.filter((trace) => trace.startsWith("error: ")), []);
    }
  },
);
