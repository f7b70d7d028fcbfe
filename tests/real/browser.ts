import {
  type Browser,
  type BrowserContextOptions,
  chromium,
  type Page,
} from "npm:playwright-core@^1.65.1";
import { until } from "../until.ts";

/** Where Chromium may be. */
const PLACES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** A browser on this machine, or null. */
export async function findBrowser(): Promise<string | null> {
  for (const place of PLACES) {
    if (await Deno.stat(place).then(() => true, () => false)) return place;
  }
  console.warn("SKIPPED: what needs a real browser. Debian's package `chromium` brings one.");
  return null;
}

/** Starts it. */
export async function startBrowser(place: string): Promise<Browser & AsyncDisposable> {
  // Chromium's sandbox does not run as root, as CI does; it sees no page but ours.
  return await chromium.launch({ executablePath: place, args: ["--no-sandbox"] });
}

/** The demo in a window of its own: cookies, storage and account are nobody else's. */
export class DemoWindow {
  /** All that could give a secret away: addresses, the console, and what was asked for. */
  readonly traces: string[] = [];
  /** Every ticket that it was given. */
  readonly tickets: string[] = [];

  private constructor(readonly page: Page) {}

  /** Opens the demo as somebody: `alice`, `bob` or `carol`. */
  static async open(
    browser: Browser,
    url: string,
    name: string,
    options: BrowserContextOptions = {},
  ): Promise<DemoWindow> {
    const page = await (await browser.newContext(options)).newPage();
    const it = new DemoWindow(page);
    page.on("console", (message) => it.traces.push(`console: ${message.text()}`));
    page.on("pageerror", (error) => it.traces.push(`error: ${error}`));
    page.on("request", (request) => it.traces.push(`request: ${request.url()}`));
    page.on("websocket", (socket) => it.traces.push(`socket: ${socket.url()}`));
    page.on("framenavigated", (frame) => it.traces.push(`address: ${frame.url()}`));
    page.on("response", async (response) => {
      if (!response.url().includes(".getTicket") || !response.ok()) return;
      const { ticket } = await response.json();
      if (ticket) it.tickets.push(ticket);
    });
    await page.goto(url);
    await page.locator("#accounts button", { hasText: new RegExp(name, "i") }).first().click();
    return it;
  }

  /** Resolves once the mark beside the title says this: `saved`, `saving`, `offline`, `denied`. */
  async is(state: string): Promise<this> {
    await this.page.locator(`#saved[data-state=${state}]`).waitFor();
    return this;
  }

  /** Types at the end of the document. */
  async type(text: string): Promise<void> {
    await this.page.locator(".cm-content").click();
    await this.page.keyboard.press("Control+End");
    await this.page.keyboard.type(text);
  }

  /** Resolves once the document holds these words. */
  async reads(words: string): Promise<void> {
    await until(async () => (await this.text).includes(words));
  }

  /** What the document says. */
  get text(): Promise<string> {
    return this.page.evaluate(`(${readText})()`);
  }

  /** Resolves once the window has written down what was typed: one transaction comes after the other. */
  async kept(): Promise<void> {
    await this.page.evaluate(`(${endTransactions})()`);
  }

  /** Resolves once somebody is there by this name, and their cursor in the text carries it. */
  async sees(name: string): Promise<void> {
    await this.page.locator(`#peers [title="${name}"]`).waitFor();
    await this.page.locator(".cm-ySelectionInfo", { hasText: name }).waitFor();
  }

  /** In the dialog of the room's owner, does something and waits until it shows. */
  async share(what: (dialog: ReturnType<Page["locator"]>) => Promise<void>): Promise<void> {
    await this.page.locator("#share-button").click();
    await what(this.page.locator("#share"));
    await this.page.locator("#share .close").click();
  }

  /** Lets somebody in. */
  async add(handle: string, role: "writer" | "reader"): Promise<void> {
    await this.share(async (dialog) => {
      await dialog.locator("[name=handle]").fill(handle);
      await dialog.locator("[name=role]").selectOption(role);
      await dialog.getByText("Add").click();
      await dialog.locator("#members li", { hasText: handle }).waitFor();
    });
  }
}

/** In a page: the text in the editor, without the cursors of others. */
const readText = `() => {
  const content = document.querySelector(".cm-content")?.cloneNode(true);
  if (content === undefined) return "";
  for (const cursor of content.querySelectorAll(".cm-ySelectionCaret")) cursor.remove();
  return [...content.querySelectorAll(".cm-line")].map((line) => line.textContent).join("\\n");
}`;

/** In a page: waits for all that its databases have still to write. */
const endTransactions = `async () => {
  for (const { name } of await indexedDB.databases()) {
    await new Promise((resolve) => {
      const opening = indexedDB.open(name);
      opening.onsuccess = () => {
        const { result } = opening;
        const last = result.transaction([...result.objectStoreNames], "readwrite");
        last.oncomplete = resolve;
        last.objectStore("updates").count();
      };
    });
  }
}`;
