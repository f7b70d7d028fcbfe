import * as Y from "yjs";
import { systemClock } from "../../src/clock.ts";
import {
  devToken,
  type ProviderEvent,
  type ProviderOptions,
  TesseraProvider,
} from "../../src/client/mod.ts";
import type { SyncServiceConfig } from "../../src/mod.ts";
import { listen } from "../http/listen.ts";
import { DEV_TOKEN } from "../http/service.ts";

/** What the names of this service's methods begin with. */
export const NAMES = { nsidPrefix: "com.example.sync" };

/** A service that listens, in real time. */
export async function startRealService(config: Partial<SyncServiceConfig> = {}) {
  const it = await listen({ clock: systemClock, ...config });
  return { ...it, endpoint: `http://127.0.0.1:${it.port}` };
}

/** A window of an app: a document, and its provider. */
export class Window {
  readonly text: Y.Text;
  readonly provider: TesseraProvider;

  constructor(
    endpoint: string,
    room: string,
    did: string,
    options: Partial<ProviderOptions> & { doc?: Y.Doc } = {},
  ) {
    const { doc = new Y.Doc(), ...others } = options;
    this.text = doc.getText("text");
    const getTicket = devToken(DEV_TOKEN, did, NAMES);
    this.provider = new TesseraProvider(room, doc, { endpoint, getTicket, ...others });
  }

  /** Resolves once what `of` tells of fulfils `is`. */
  async until(of: ProviderEvent, is: (provider: TesseraProvider) => boolean): Promise<this> {
    while (!is(this.provider)) {
      await new Promise((resolve) => {
        this.provider.addEventListener(of, resolve, { once: true });
      });
    }
    return this;
  }

  online(): Promise<this> {
    return this.until("status", ({ status }) => status === "online");
  }

  /** Resolves once the text is this. */
  async reads(wanted: string): Promise<void> {
    while (this.text.toString() !== wanted) {
      await new Promise<void>((resolve) => this.provider.doc.once("update", () => resolve()));
    }
  }

  [Symbol.dispose](): void {
    this.provider.doc.destroy();
  }
}
