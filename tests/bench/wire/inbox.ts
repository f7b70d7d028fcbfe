/** Small, since ten thousand of these are open at once; it grows with what arrives. */
const FIRST_BYTES = 16 * 1024;

/** Kinds of WebSocket frames: https://www.rfc-editor.org/rfc/rfc6455#section-5.2 */
export const BINARY = 0x2;
export const CLOSE = 0x8;
export const PING = 0x9;
export const PONG = 0xa;

/** One WebSocket frame from a server. The payload is good until the next read. */
export interface SocketFrame {
  kind: number;
  payload: Uint8Array;
}

/** What has arrived on a TCP connection, cut into WebSocket frames without a copy. */
export class Inbox {
  #bytes = new Uint8Array(FIRST_BYTES);
  #start = 0;
  #end = 0;

  /** Where the next bytes may be put; never empty. */
  space(): Uint8Array<ArrayBuffer> {
    if (this.#start > 0) {
      this.#bytes.copyWithin(0, this.#start, this.#end);
      this.#end -= this.#start;
      this.#start = 0;
    }
    if (this.#end > this.#bytes.length / 2) {
      const larger = new Uint8Array(this.#bytes.length * 2);
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    return this.#bytes.subarray(this.#end);
  }

  /** So many bytes were put into the space. */
  filled(count: number): void {
    this.#end += count;
  }

  /** The HTTP head that comes before all frames, or null while it is not all there. */
  takeHead(): string | null {
    const text = new TextDecoder().decode(this.#bytes.subarray(this.#start, this.#end));
    const length = text.indexOf("\r\n\r\n");
    if (length < 0) return null;
    this.#start += length + 4; // a head is ASCII, so its characters are its bytes
    return text.slice(0, length);
  }

  /** The next frame, or null while it is not all there. */
  takeFrame(): SocketFrame | null {
    const have = this.#end - this.#start;
    if (have < 2) return null;
    const view = new DataView(this.#bytes.buffer, this.#start, have);
    const first = view.getUint8(0);
    let length = view.getUint8(1);
    let headLength = 2;
    if (length === 126) {
      if (have < 4) return null;
      length = view.getUint16(2);
      headLength = 4;
    } else if (length === 127) {
      if (have < 10) return null;
      length = Number(view.getBigUint64(2));
      headLength = 10;
    }
    if (have < headLength + length) return null;
    if (first < 0x80) throw new Error("a fragmented frame, which no server here sends");
    const from = this.#start + headLength;
    this.#start = from + length;
    return { kind: first & 0xf, payload: this.#bytes.subarray(from, from + length) };
  }
}
