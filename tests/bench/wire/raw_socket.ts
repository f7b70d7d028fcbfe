import { Buffer } from "node:buffer";
import { BINARY, CLOSE, Inbox, PING, PONG, type SocketFrame } from "./inbox.ts";

/** A client must mask what it sends, and a server must undo it; with what does not matter here. */
const MASK = [0x5a, 0xa5, 0x3c, 0xc3];

/** Where a socket is opened, and with which sub-protocols. */
export interface Address {
  url: string;
  protocols: string[];
}

/**
 * A WebSocket client straight on TCP. The runtime's own costs a task for each frame, and the load
 * generator must not be what is measured: here, one read brings all the frames that have arrived,
 * and one write takes all that were sent together.
 */
export class RawSocket {
  /** Takes the payload of each binary frame, which is good until it returns. */
  onMessage: (payload: Uint8Array) => void = () => {};
  /** The line is gone, without our doing. */
  onLost: (why: string) => void = () => {};
  readonly #inbox = new Inbox();
  #outbox: Uint8Array[] = [];
  #writing = false;
  #closed = false;

  private constructor(private readonly connection: Deno.TcpConn) {}

  /** Opens a socket, and throws when the server does not want it. */
  static async open({ url, protocols }: Address): Promise<RawSocket> {
    const { hostname, port, pathname, search } = new URL(url);
    const connection = await Deno.connect({ hostname, port: Number(port) });
    connection.setNoDelay(true);
    const socket = new RawSocket(connection);
    await socket.#writeAll(request(`${pathname}${search}`, `${hostname}:${port}`, protocols));
    const head = await socket.#readHead();
    if (!head.startsWith("HTTP/1.1 101 ")) throw new Error(`no socket at ${url}: ${head}`);
    return socket;
  }

  /** Starts to hand over messages; to be called once `onMessage` is set. */
  listen(): void {
    this.#listen().catch((error) => this.#lose(String(error)));
  }

  /** Sends one binary frame. */
  send(payload: Uint8Array): void {
    this.#post(BINARY, payload);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.connection.close();
  }

  async #readHead(): Promise<string> {
    for (;;) {
      const count = await this.connection.read(this.#inbox.space());
      if (count === null) throw new Error("the server hung up during the handshake");
      this.#inbox.filled(count);
      const head = this.#inbox.takeHead();
      if (head !== null) return head;
    }
  }

  async #listen(): Promise<void> {
    for (;;) {
      for (let frame; (frame = this.#inbox.takeFrame()) !== null;) this.#take(frame);
      if (this.#closed) return;
      const count = await this.connection.read(this.#inbox.space());
      if (count === null) return this.#lose("the server hung up");
      this.#inbox.filled(count);
    }
  }

  #take({ kind, payload }: SocketFrame): void {
    if (kind === BINARY) return this.onMessage(payload);
    if (kind === PING) return this.#post(PONG, payload);
    if (kind !== CLOSE) return;
    const code = payload.length < 2 ? "no code" : payload[0]! * 256 + payload[1]!;
    this.#lose(`closed with ${code} ${new TextDecoder().decode(payload.subarray(2))}`);
  }

  #lose(why: string): void {
    if (this.#closed) return;
    this.close();
    this.onLost(why);
  }

  #post(kind: number, payload: Uint8Array): void {
    this.#outbox.push(encodeFrame(kind, payload));
    if (!this.#writing) this.#flush().catch((error) => this.#lose(String(error)));
  }

  async #flush(): Promise<void> {
    this.#writing = true;
    await Promise.resolve(); // what is sent in one go leaves in one write
    while (this.#outbox.length > 0 && !this.#closed) {
      const frames = this.#outbox;
      this.#outbox = [];
      await this.#writeAll(frames.length === 1 ? frames[0]! : concat(frames));
    }
    this.#writing = false;
  }

  async #writeAll(bytes: Uint8Array): Promise<void> {
    for (let sent = 0; sent < bytes.length;) {
      sent += await this.connection.write(bytes.subarray(sent));
    }
  }
}

function request(path: string, host: string, protocols: string[]): Uint8Array {
  const lines = [
    `GET ${path} HTTP/1.1`,
    `Host: ${host}`,
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    `Sec-WebSocket-Key: ${
      Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString("base64")
    }`,
  ];
  if (protocols.length > 0) lines.push(`Sec-WebSocket-Protocol: ${protocols.join(", ")}`);
  return new TextEncoder().encode(`${lines.join("\r\n")}\r\n\r\n`);
}

function encodeFrame(kind: number, payload: Uint8Array): Uint8Array {
  const { length } = payload;
  const extended = length < 126 ? 0 : length < 65_536 ? 2 : 8;
  const frame = new Uint8Array(2 + extended + MASK.length + length);
  const view = new DataView(frame.buffer);
  view.setUint8(0, 0x80 | kind);
  view.setUint8(1, 0x80 | (extended === 0 ? length : extended === 2 ? 126 : 127));
  if (extended === 2) view.setUint16(2, length);
  if (extended === 8) view.setBigUint64(2, BigInt(length));
  frame.set(MASK, 2 + extended);
  const start = 2 + extended + MASK.length;
  for (let n = 0; n < length; n++) frame[start + n] = payload[n]! ^ MASK[n & 3]!;
  return frame;
}

function concat(parts: Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
