import { WebsocketProvider } from "y-websocket";
import * as Y from "yjs";
import { TestPeer } from "../sync/test_peer.ts";

/** The development token of the servers that these tests start. */
export const DEV_TOKEN = "dev-token-of-the-tests";

export const ALICE = "did:plc:aliceaaaaaaaaaaaaaaaaaaa";
export const BOB = "did:plc:bobbbbbbbbbbbbbbbbbbbbbb";

/** A peer without a provider, over a socket that is opened with a ticket: for what providers do not show. */
export async function connectPeer(
  server: { url: string; socketUrl: string },
  did: string,
  room: string,
  /** What trusts the certificate of the server, if it has one. */
  client?: Deno.HttpClient,
): Promise<TestPeer> {
  const ticket = await getTicket(server.url, did, room, client);
  const protocols = ["authorization", ticket];
  // Deno's own option, which the DOM's types do not have.
  const options = client === undefined ? protocols : { protocols, client } as unknown as string[];
  const socket = new WebSocket(`${server.socketUrl}/sync/${encodeURIComponent(room)}`, options);
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = reject;
  });
  return new TestPeer(did).joinOver(socket);
}

/** Asks for a ticket with the development token. */
export async function getTicket(
  url: string,
  did: string,
  room: string,
  client?: Deno.HttpClient,
): Promise<string> {
  const response = await fetch(`${url}/xrpc/chat.roomy.v0.sync.getTicket`, {
    method: "POST",
    headers: { authorization: `Bearer ${DEV_TOKEN}`, "content-type": "application/json" },
    body: JSON.stringify({ room, did }),
    client,
  });
  const { ticket } = await response.json();
  return ticket;
}

/** A stock y-websocket client, unmodified, with a document of its own. */
export class StockClient {
  readonly doc = new Y.Doc();
  readonly text = this.doc.getText("text");
  readonly provider: WebsocketProvider;

  /** `room` goes into the path as it is, as y-websocket does it. */
  constructor(base: string, room: string, options: { ticket?: string; token?: string }) {
    this.provider = new WebsocketProvider(base, room, this.doc, {
      protocols: options.ticket === undefined ? [] : ["authorization", options.ticket],
      params: options.token === undefined ? {} : { token: options.token },
      disableBc: true, // or the clients of one process would talk past the server
    });
  }

  /** Resolves once the server has answered with what it has. */
  async synced(): Promise<this> {
    if (!this.provider.synced) {
      await new Promise<void>((resolve) => this.provider.once("sync", () => resolve()));
    }
    return this;
  }

  /** Resolves once the text is as `wanted`. */
  async reads(wanted: string | ((text: string) => boolean)): Promise<void> {
    const isWanted = typeof wanted === "string" ? (text: string) => text === wanted : wanted;
    await new Promise<void>((resolve) => {
      const look = () => {
        if (!isWanted(this.text.toString())) return;
        this.doc.off("update", look);
        resolve();
      };
      this.doc.on("update", look);
      look();
    });
  }

  [Symbol.dispose](): void {
    this.provider.destroy();
    this.doc.destroy();
  }
}

/** What y-websocket says on the console while this lives. */
export class Warnings {
  readonly heard: string[] = [];
  readonly #warn = console.warn;

  constructor() {
    console.warn = (message) => this.heard.push(String(message));
  }

  [Symbol.dispose](): void {
    console.warn = this.#warn;
  }
}
