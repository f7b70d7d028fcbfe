import { DEV_TOKEN } from "../http/service.ts";

/** The opcodes of frames: https://www.rfc-editor.org/rfc/rfc6455#section-5.2 */
export const [CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG] = [0, 1, 2, 8, 9, 10] as const;

/** A frame as a client sends it. The mask is zero. */
export function frame(opcode: number, payload = new Uint8Array(0), isFinal = true): Uint8Array {
  const { length } = payload;
  const size = length < 126
    ? [length]
    : length < 65_536
    ? [126, length >> 8, length & 255]
    : [127, 0, 0, 0, 0, ...[24, 16, 8, 0].map((bits) => (length >> bits) & 255)];
  const head = [(isFinal ? 0x80 : 0) | opcode, size[0]! | 0x80, ...size.slice(1), 0, 0, 0, 0];
  const whole = new Uint8Array(head.length + length);
  whole.set(head);
  whole.set(payload, head.length);
  return whole;
}

/** The same frame so often. */
export function repeated(one: Uint8Array, times: number): Uint8Array {
  const all = new Uint8Array(one.length * times);
  for (let n = 0; n < times; n++) all.set(one, n * one.length);
  return all;
}

/** The head of a handshake for `/sync/as/<did>/<room>`, with the development token. */
export function handshakeOf(did: string, room: string, headers: string[] = []): string {
  return [
    `GET /sync/as/${did}/${room} HTTP/1.1`,
    ...["host: localhost", "connection: Upgrade", "upgrade: websocket"],
    ...["sec-websocket-version: 13", "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ=="],
    ...[`sec-websocket-protocol: authorization, ${DEV_TOKEN}`, ...headers, "", ""],
  ].join("\r\n");
}

/** A client that does with its connection what no library would. */
export class RawClient implements Disposable {
  #bytes = new Uint8Array(0);

  private constructor(readonly tcp: Deno.TcpConn) {}

  static async connect(port: number): Promise<RawClient> {
    return new RawClient(await Deno.connect({ hostname: "127.0.0.1", port }));
  }

  /** Connects and opens a socket. */
  static async open(port: number, did: string, room: string): Promise<RawClient> {
    const client = await RawClient.connect(port);
    await client.write(handshakeOf(did, room));
    const status = await client.readHead();
    if (!status.startsWith("HTTP/1.1 101")) throw new Error(status);
    return client;
  }

  /** Writes all of it; stops quietly where the other side has closed. */
  async write(data: Uint8Array | string): Promise<void> {
    let rest = typeof data === "string" ? new TextEncoder().encode(data) : data;
    try {
      while (rest.length > 0) rest = rest.subarray(await this.tcp.write(rest));
    } catch (error) {
      if (
        !(error instanceof Deno.errors.BrokenPipe || error instanceof Deno.errors.ConnectionReset)
      ) {
        throw error;
      }
    }
  }

  /** Reads an answer's head. */
  async readHead(): Promise<string> {
    while (true) {
      const text = new TextDecoder().decode(this.#bytes);
      const end = text.indexOf("\r\n\r\n");
      if (end >= 0) {
        this.#bytes = this.#bytes.slice(end + 4);
        return text.slice(0, end);
      }
      if (!await this.#readMore()) return text;
    }
  }

  /** Reads all that comes until the other side closes. */
  async readAll(): Promise<string> {
    while (await this.#readMore());
    return new TextDecoder().decode(this.#bytes);
  }

  /** Reads frames until one of this opcode has come, and returns its payload; null if the connection ends before. */
  async readUntil(opcode: number): Promise<Uint8Array | null> {
    while (true) {
      const short = (this.#bytes[1] ?? 0) & 127;
      const extra = short === 126 ? 2 : short === 127 ? 8 : 0;
      const size = [...this.#bytes.subarray(2, 2 + extra)].reduce(
        (all, byte) => all * 256 + byte,
        0,
      );
      const end = 2 + extra + (extra > 0 ? size : short);
      if (this.#bytes.length >= Math.max(2 + extra, end)) {
        const [first, payload] = [this.#bytes[0]!, this.#bytes.slice(2 + extra, end)];
        this.#bytes = this.#bytes.slice(end);
        if ((first & 15) === opcode) return payload;
      } else if (!await this.#readMore()) return null;
    }
  }

  /** The code with which the service closes; null if the connection ends without one. */
  async closeCode(): Promise<number | null> {
    const payload = await this.readUntil(CLOSE);
    return payload === null ? null : payload[0]! * 256 + payload[1]!;
  }

  /** Ends the connection with a RST. */
  reset(): void {
    // Linux sends one when a connection is closed with bytes unread, or is closed while it lingers for 0 s.
    this.tcp.close();
  }

  [Symbol.dispose](): void {
    try {
      this.tcp.close();
    } catch {
      // closed already
    }
  }

  async #readMore(): Promise<boolean> {
    const buffer = new Uint8Array(65_536);
    const count = await this.tcp.read(buffer).catch(() => null);
    if (count === null) return false;
    const all = new Uint8Array(this.#bytes.length + count);
    all.set(this.#bytes);
    all.set(buffer.subarray(0, count), this.#bytes.length);
    this.#bytes = all;
    return true;
  }
}
