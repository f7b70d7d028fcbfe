/**
 * Numbers and byte arrays in lib0's encoding, from outside: https://github.com/dmonad/lib0/blob/main/encoding.js.
 * lib0's own readers return Infinity or NaN for a number with enough leading zeros, and its writers never
 * return from those.
 */
import type { Decoder } from "lib0/decoding";

/** A number that is cut off, above 2^53 - 1, or not in its shortest form. */
export class MalformedNumberError extends Error {
  override readonly name = "MalformedNumberError";
}

const CONTINUES = 0x80;
/** Of a signed number's first byte, which has six bits of the value. */
const IS_NEGATIVE = 0x40;

/**
 * Reads an unsigned number of at most 2^53 - 1.
 * @throws {MalformedNumberError}
 */
export function readUint(decoder: Decoder): number {
  const { arr, pos } = decoder;
  const first = arr[pos]!;
  if (first >= CONTINUES || pos >= arr.length) return readGroups(decoder, 0, 1);
  decoder.pos++; // most numbers have one byte
  return first;
}

/**
 * Reads a signed number between -(2^53 - 1) and 2^53 - 1.
 * @throws {MalformedNumberError}
 */
export function readInt(decoder: Decoder): number {
  const first = readByte(decoder);
  const low = first & 0x3f;
  const size = first & CONTINUES ? readGroups(decoder, low, 0x40) : low;
  return first & IS_NEGATIVE ? -size : size;
}

/**
 * Reads bytes that come after their length, without copying them.
 * @throws {MalformedNumberError}
 */
export function readBytes(decoder: Decoder): Uint8Array {
  const length = readUint(decoder);
  const { pos, arr } = decoder;
  if (length > arr.length - pos) {
    throw new MalformedNumberError("there are fewer bytes than it says");
  }
  decoder.pos += length;
  return arr.subarray(pos, pos + length);
}

/** Reads seven bits a byte, the lowest first, and adds them to a number: the first of them counts `unit`. */
function readGroups(decoder: Decoder, number: number, unit: number): number {
  while (true) {
    const byte = readByte(decoder);
    const bits = byte & 0x7f;
    // Compared before it is added: beyond 2^53 a sum would be rounded.
    if (bits > (Number.MAX_SAFE_INTEGER - number) / unit) {
      throw new MalformedNumberError("a number is above 2^53 - 1");
    }
    number += bits * unit;
    if (byte < CONTINUES) {
      if (byte === 0 && unit > 1) {
        throw new MalformedNumberError("a number is not in its shortest form");
      }
      return number;
    }
    unit *= 128;
    if (unit > Number.MAX_SAFE_INTEGER) {
      throw new MalformedNumberError("a number has too many bytes");
    }
  }
}

function readByte(decoder: Decoder): number {
  const byte = decoder.arr[decoder.pos++];
  if (byte === undefined) throw new MalformedNumberError("a number is cut off");
  return byte;
}
