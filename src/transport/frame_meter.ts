/** Opcodes from here on are control frames: https://www.rfc-editor.org/rfc/rfc6455#section-5.2 */
const FIRST_CONTROL_OPCODE = 8;
const CLOSE_OPCODE = 8;

/** What a read costs that is kept until its message is complete, in bytes, on top of its own. */
const READ_BYTES = 256;

const NOTHING = new Uint8Array(0);

/** The header of a frame. `length` is its own, with the mask; `payload` that of what follows. */
interface Header {
  opcode: number;
  isFinal: boolean;
  length: number;
  payload: number;
}

/**
 * Reads the frame headers in the bytes of a WebSocket. The library reports whole messages only, and a peer
 * can keep us busy with frames that never become one: empty fragments, pings, pongs.
 */
export class FrameMeter {
  /** Bytes of the current frame that are still to come. */
  #left = 0;
  /** The beginning of a header whose rest is still to come. */
  #header: Uint8Array = NOTHING;
  #isControl = false;
  /** A message has begun and is not complete; the frame that is being read, or was last, is its last. */
  #inMessage = false;
  #isFinal = false;
  #incomplete = 0;
  #hasClose = false;

  /** A close frame has begun. */
  get hasClose(): boolean {
    return this.#hasClose;
  }

  /** What a message that is not complete has cost so far, in bytes. */
  get incomplete(): number {
    return this.#incomplete;
  }

  /** Reads on, until so many frames have begun. Returns how many have, and how many bytes that are. */
  read(bytes: Uint8Array, maxFrames: number): { frames: number; bytes: number } {
    let frames = 0;
    let at = 0;
    /** Where the bytes begin that belong to a message that is not complete. */
    let messageAt = 0;
    while (at < bytes.length) {
      const skipped = Math.min(this.#left, bytes.length - at);
      at += skipped;
      this.#left -= skipped;
      if (this.#left > 0) break;
      this.#endFrame();
      if (at === bytes.length || frames === maxFrames) break;
      const from = at;
      const header = this.#readHeader(bytes, at);
      if (header === null) {
        at = bytes.length;
        break;
      }
      at += header.length;
      frames++;
      if (this.#begin(header)) messageAt = from;
    }
    if (this.#left === 0) this.#endFrame();
    if (this.#inMessage) this.#incomplete += at - messageAt + READ_BYTES;
    return { frames, bytes: at };
  }

  /** Begins a frame. Returns whether a message begins with it. */
  #begin({ opcode, isFinal, payload }: Header): boolean {
    this.#left = payload;
    if (opcode === CLOSE_OPCODE) this.#hasClose = true;
    this.#isControl = opcode >= FIRST_CONTROL_OPCODE;
    if (this.#isControl) return false;
    this.#isFinal = isFinal;
    const isFirst = !this.#inMessage;
    this.#inMessage = true;
    return isFirst;
  }

  #endFrame(): void {
    if (this.#isControl || !this.#inMessage || !this.#isFinal) return;
    this.#inMessage = false;
    this.#incomplete = 0;
  }

  /** The header at `at`, less what of it had come before; null while it is not complete. */
  #readHeader(bytes: Uint8Array, at: number): Header | null {
    const before = this.#header.length;
    if (before === 0) {
      const header = headerOf(bytes, at);
      if (header === null) this.#header = bytes.slice(at);
      return header;
    }
    const joined = new Uint8Array([...this.#header, ...bytes.subarray(at, at + 14)]);
    const header = headerOf(joined, 0);
    this.#header = header === null ? joined : NOTHING;
    return header && { ...header, length: header.length - before };
  }
}

function headerOf(bytes: Uint8Array, at: number): Header | null {
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
