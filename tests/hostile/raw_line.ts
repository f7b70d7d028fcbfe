import { CLOSE, Inbox, PING } from "../bench/wire/inbox.ts";
import { concat, Opcode, wsFrame } from "./wire.ts";

/** How a connection ended: the code of the close frame, or 1006 where none came. */
export interface Ending {
  code: number;
  reason: string;
}

/** Where and as whom to open a socket. */
export interface Door {
  url: string;
  did: string;
  room: string;
  token: string;
}

const TICKET = /\[ticket\]/;

/**
 * One TCP connection to the server that keeps to no rule: it sends any bytes, reads when it is told to,
 * and hangs up at any moment.
 */
export class RawLine implements Disposable {
  /** Takes the payload of each binary frame, which is valid until it returns. */
  onMessage: (payload: Uint8Array) => void = () => {};
  /** Resolves when the connection has ended. Only a line that reads learns the code. */
  readonly ended: Promise<Ending>;
  /** Bytes that the server has taken from this line, or that wait in the kernel's buffers. */
  written = 0;
  readonly #inbox = new Inbox();
  readonly #end: (ending: Ending) => void;
  #isOpen = true;

  private constructor(private readonly connection: Deno.TcpConn) {
    const { promise, resolve } = Promise.withResolvers<Ending>();
    this.ended = promise;
    this.#end = (ending) => {
      this.#isOpen = false;
      resolve(ending);
    };
  }

  static async connect(url: string): Promise<RawLine> {
    const { hostname, port } = new URL(url);
    const connection = await Deno.connect({ hostname: ipv4(hostname), port: Number(port) });
    connection.setNoDelay(true);
    return new RawLine(connection);
  }

  /** Opens a socket. It reads nothing after the handshake until `listen` is called. */
  static async open(door: Door): Promise<RawLine> {
    const line = await RawLine.connect(door.url);
    await line.write(handshake(door));
    const head = await line.readHead();
    if (head.startsWith("HTTP/1.1 101 ")) return line;
    line.close();
    throw new Error(`the socket was refused: ${head.split("\r\n")[0]}`);
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Sends bytes as they are. Resolves to false once the connection has ended. */
  async write(bytes: Uint8Array): Promise<boolean> {
    try {
      for (let sent = 0; sent < bytes.length;) {
        if (!this.#isOpen) return false;
        const count = await this.connection.write(bytes.subarray(sent));
        sent += count;
        this.written += count;
      }
      return this.#isOpen;
    } catch {
      // The close frame may still be on its way to the reader, which then knows better.
      setTimeout(() => this.#end({ code: 1006, reason: "the server hung up" }), 1_000);
      return false;
    }
  }

  /** Sends the same bytes until the server has hung up, `count` is reached or `ms` have passed. */
  async flood(bytes: Uint8Array, count: number, ms: number): Promise<void> {
    const timeout = Promise.withResolvers<false>();
    const timer = setTimeout(() => timeout.resolve(false), ms);
    const end = performance.now() + ms;
    for (let n = 0; n < count && performance.now() < end; n++) {
      if (!await Promise.race([this.write(bytes), timeout.promise, this.ended.then(() => false)])) {
        break;
      }
    }
    clearTimeout(timer);
  }

  /** Sends binary messages in one go. */
  send(...payloads: Uint8Array[]): Promise<boolean> {
    return this.write(concat(payloads.map((payload) => wsFrame(payload))));
  }

  /** Reads the head of an HTTP response; rejects when the server hangs up first. */
  async readHead(): Promise<string> {
    for (;;) {
      const head = this.#inbox.takeHead();
      if (head !== null) return head;
      if (!await this.#read()) throw new Error("the server hung up");
    }
  }

  /** Reads from now on, and answers pings. Returns `ended`. */
  listen(): Promise<Ending> {
    this.#listen().catch((error) => this.#end({ code: 1006, reason: String(error) }));
    return this.ended;
  }

  close(): void {
    this.#end({ code: 1000, reason: "closed here" });
    try {
      this.connection.close();
    } catch {
      // It is closed already.
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #listen(): Promise<void> {
    for (;;) {
      for (let frame; (frame = this.#inbox.takeFrame()) !== null;) {
        const { kind, payload } = frame;
        if (kind === Opcode.BINARY) this.onMessage(payload);
        if (kind === PING) await this.write(wsFrame(payload.slice(), { opcode: Opcode.PONG }));
        if (kind !== CLOSE) continue;
        const code = payload.length < 2 ? 1005 : payload[0]! * 256 + payload[1]!;
        const reason = new TextDecoder().decode(payload.subarray(2));
        // A client answers a close with a close.
        this.connection.write(wsFrame(payload.slice(0, 2), { opcode: Opcode.CLOSE })).catch(
          () => {},
        );
        return this.#end({ code, reason });
      }
      if (!await this.#read()) return this.#end({ code: 1006, reason: "no close frame" });
    }
  }

  async #read(): Promise<boolean> {
    const count = await this.connection.read(this.#inbox.space());
    if (count !== null) this.#inbox.filled(count);
    return count !== null;
  }
}

/** The request that opens a socket. `headers` replace or add lines; null removes one. */
export function handshake(
  { url, did, room, token }: Door,
  headers: Record<string, string | null> = {},
): Uint8Array {
  const all: Record<string, string | null> = {
    "Host": new URL(url).host,
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Protocol": "authorization, [ticket]",
    ...headers,
  };
  const lines = Object.entries(all).filter(([, value]) => value !== null)
    .map(([name, value]) => `${name}: ${value!.replace(TICKET, token)}`);
  const path = `/sync/as/${did}/${encodeURIComponent(room)}`;
  return new TextEncoder().encode(`GET ${path} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`);
}

/** The server listens on IPv4 alone, and `localhost` may resolve to ::1 first. */
function ipv4(hostname: string): string {
  return hostname === "localhost" ? "127.0.0.1" : hostname;
}
