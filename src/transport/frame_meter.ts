/** Opcodes from here on are control frames: https://www.rfc-editor.org/rfc/rfc6455#section-5.2 */
const FIRST_CONTROL_OPCODE = 8;

const NOTHING = new Uint8Array(0);

/**
 * Reads the frame headers in the bytes of a WebSocket. The library reports whole messages only, and a peer
 * can keep us busy with frames that never become one: empty fragments, pings, pongs.
 */
export class FrameMeter {
  /** Bytes of the current frame that are still to come. */
  #left = 0;
  /** The beginning of a header whose rest is still to come. */
  #header: Uint8Array = NOTHING;
  /** The last data frame was not the last of its message, or is not complete. */
  #inMessage = false;
  #isFinal = false;
  #isControl = false;
  #incomplete = 0;

  /** Bytes that have arrived since the beginning of a message that is not complete. */
  get incomplete(): number {
    return this.#incomplete;
  }

  /** Reads on. Returns how many frames have begun. */
  read(bytes: Uint8Array): number {
    let chunk = bytes;
    if (this.#header.length > 0) {
      chunk = new Uint8Array(this.#header.length + bytes.length);
      chunk.set(this.#header);
      chunk.set(bytes, this.#header.length);
      this.#header = NOTHING;
    }
    let frames = 0;
    let messageAt = 0;
    let at = 0;
    while (true) {
      const skipped = Math.min(this.#left, chunk.length - at);
      at += skipped;
      this.#left -= skipped;
      if (this.#left > 0) break;
      if (this.#inMessage && this.#isFinal && !this.#isControl) this.#inMessage = false;
      const header = readHeader(chunk, at);
      if (header === null) {
        if (at < chunk.length) this.#header = chunk.slice(at);
        break;
      }
      frames++;
      this.#isControl = header.opcode >= FIRST_CONTROL_OPCODE;
      if (!this.#isControl) {
        if (!this.#inMessage) {
          this.#inMessage = true;
          this.#incomplete = 0;
          messageAt = at;
        }
        this.#isFinal = header.isFinal;
      }
      at += header.length;
      this.#left = header.payload;
    }
    if (this.#inMessage) this.#incomplete += chunk.length - messageAt;
    else this.#incomplete = 0;
    return frames;
  }
}

/** Reads a header; null while it is not complete. `payload` does not count the mask, which is in `length`. */
function readHeader(bytes: Uint8Array, at: number) {
  if (at + 2 > bytes.length) return null;
  const [first, second] = [bytes[at]!, bytes[at + 1]!];
  const short = second & 0x7f;
  const extra = short === 126 ? 2 : short === 127 ? 8 : 0;
  const length = 2 + extra + (second & 0x80 ? 4 : 0);
  if (at + length > bytes.length) return null;
  let payload = short;
  if (extra > 0) {
    payload = 0;
    for (let n = 0; n < extra; n++) payload = payload * 256 + bytes[at + 2 + n]!;
  }
  return { opcode: first & 0x0f, isFinal: (first & 0x80) !== 0, length, payload };
}
