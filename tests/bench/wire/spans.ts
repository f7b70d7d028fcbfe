import * as decoding from "lib0/decoding";

/** Told about each piece of a writer's text: characters `from` up to, and without, `to`. */
export type OnSpan = (writer: number, from: number, to: number) => void;

/** How Yjs writes a struct: https://github.com/yjs/yjs/blob/v13.6.27/src/utils/encoding.js */
const CONTENT = 0x1f;
const HAS_ORIGIN = 0x80;
const HAS_RIGHT_ORIGIN = 0x40;
const HAS_KEY = 0x20;
const GC = 0;
const DELETED = 1;
const STRING = 4;
const SKIP = 10;

/**
 * Reads which characters an update brings, and none of them: so a merged update counts for all that
 * it holds, and a client costs no document. It knows what the texts here are made of, and no more.
 */
export function readSpans(update: Uint8Array, onSpan: OnSpan): void {
  const decoder = decoding.createDecoder(update);
  for (let writers = decoding.readVarUint(decoder); writers > 0; writers--) {
    let structs = decoding.readVarUint(decoder);
    const writer = decoding.readVarUint(decoder);
    let clock = decoding.readVarUint(decoder);
    for (; structs > 0; structs--) {
      const info = decoding.readUint8(decoder);
      const length = readLength(decoder, info);
      if (info !== SKIP) onSpan(writer, clock, clock + length);
      clock += length;
    }
  }
}

function readLength(decoder: decoding.Decoder, info: number): number {
  if (info === GC || info === SKIP) return decoding.readVarUint(decoder);
  skipPlace(decoder, info);
  switch (info & CONTENT) {
    case DELETED:
      return decoding.readVarUint(decoder);
    case STRING:
      return skipString(decoder);
    default:
      throw new Error(`an update with content of kind ${info & CONTENT}, which nobody here wrote`);
  }
}

/** Between what the piece stands, or in which type. */
function skipPlace(decoder: decoding.Decoder, info: number): void {
  const isPlaced = (info & (HAS_ORIGIN | HAS_RIGHT_ORIGIN)) !== 0;
  if ((info & HAS_ORIGIN) !== 0) skipId(decoder);
  if ((info & HAS_RIGHT_ORIGIN) !== 0) skipId(decoder);
  if (isPlaced) return;
  if (decoding.readVarUint(decoder) === 1) skipString(decoder);
  else skipId(decoder);
  if ((info & HAS_KEY) !== 0) skipString(decoder);
}

function skipId(decoder: decoding.Decoder): void {
  decoding.readVarUint(decoder);
  decoding.readVarUint(decoder);
}

/** Returns the length as Yjs counts it, which for the ASCII of the texts here is that of the bytes. */
function skipString(decoder: decoding.Decoder): number {
  const length = decoding.readVarUint(decoder);
  decoder.pos += length;
  return length;
}
