/** The bytes that an attacker sends: WebSocket frames of any shape, and messages with any number in them. */
import * as encoding from "lib0/encoding";

export const KiB = 1024;
export const MiB = 1024 * KiB;

/** A probe: it comes back once everything before it is durable. */
export const PROBE = Uint8Array.of(102, 1);

/** Opcodes: https://www.rfc-editor.org/rfc/rfc6455#section-5.2 */
export const Opcode = {
  CONTINUATION: 0x0,
  TEXT: 0x1,
  BINARY: 0x2,
  CLOSE: 0x8,
  PING: 0x9,
  PONG: 0xa,
} as const;

/** How a frame differs from a usual one. */
export interface FrameOptions {
  opcode?: number;
  /** False for every fragment of a message but the last. */
  isFinal?: boolean;
  isMasked?: boolean;
  /** The length that the header claims. Default: that of the payload. */
  claims?: bigint;
}

/** One WebSocket frame. The mask is zero, so the payload stays as it is. */
export function wsFrame(payload: Uint8Array, options: FrameOptions = {}): Uint8Array {
  const { opcode = Opcode.BINARY, isFinal = true, isMasked = true } = options;
  const claims = options.claims ?? BigInt(payload.length);
  const extended = claims < 126n ? 0 : claims < 65_536n ? 2 : 8;
  const head = new Uint8Array(2 + extended + (isMasked ? 4 : 0));
  const view = new DataView(head.buffer);
  view.setUint8(0, (isFinal ? 0x80 : 0) | opcode);
  const short = extended === 0 ? Number(claims) : extended === 2 ? 126 : 127;
  view.setUint8(1, (isMasked ? 0x80 : 0) | short);
  if (extended === 2) view.setUint16(2, Number(claims));
  if (extended === 8) view.setBigUint64(2, claims);
  return concat([head, payload]);
}

export function concat(parts: Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** The same bytes, over and over. */
export function repeated(bytes: Uint8Array, count: number): Uint8Array {
  const all = new Uint8Array(bytes.length * count);
  for (let n = 0; n < count; n++) all.set(bytes, n * bytes.length);
  return all;
}

/** A varint of any value, in as many bytes as it takes: 2^63 fits no number of JavaScript's. */
export function varint(value: bigint): number[] {
  const bytes: number[] = [];
  for (let rest = value;; rest >>= 7n) {
    if (rest < 128n) return [...bytes, Number(rest)];
    bytes.push(Number(rest & 127n) | 128);
  }
}

/** Varints that no number of an honest client needs. lib0 reads the third as Infinity, the fourth as NaN. */
export const BAD_NUMBERS: Record<string, number[]> = {
  "2^53": varint(2n ** 53n),
  "2^63": varint(2n ** 63n),
  "Infinity": [...new Array(147).fill(0x80), 0x01],
  "NaN": [...new Array(200).fill(0x80), 0x00],
  "no end": new Array(300).fill(0xff),
};

/** Varints of these, or bytes as they are, one after the other. */
export function bytesOf(...parts: (number | number[] | Uint8Array)[]): Uint8Array {
  return encoding.encode((encoder) => {
    for (const part of parts) {
      if (typeof part === "number") encoding.writeVarUint(encoder, part);
      else encoding.writeUint8Array(encoder, Uint8Array.from(part));
    }
  });
}
