import { createDecoder, type Decoder } from "lib0/decoding";
import { MalformedNumberError, readBytes, readInt, readUint } from "./varint.ts";

/** An update or a state vector that cannot be read. Its sender is at fault; no document was touched. */
export class MalformedUpdateError extends Error {
  override readonly name = "MalformedUpdateError";
}

/** A thousand keystrokes a second for three centuries. Where clocks lose their precision, Yjs fails. */
const MAX_CLOCK = 2 ** 43;

/** Values may be nested so deep: a client whose stack is smaller than ours would choke on more. */
const MAX_DEPTH = 200;

/**
 * Values in what was inserted as one, which Yjs reads in one go: about 40 ms. An entry of a map counts
 * as twenty, since it takes as long, and bytes or a bigint as three, since they need as much memory.
 */
const MAX_VALUES = 1_000_000;
const ENTRY_VALUES = 20;
const HEAVY_VALUES = 3;

/** Bits of a struct's first byte: which fields follow. The rest of it is the kind. */
const HAS_ORIGIN = 0x80;
const HAS_RIGHT_ORIGIN = 0x40;
const HAS_PARENT_SUB = 0x20;
const KIND = 0x1f;

const GC = 0;
const SKIP = 10;
/** Of the types that may be nested, those with a name, and how many there are. */
const XML_ELEMENT = 3;
const XML_HOOK = 5;
const TYPES = 7;

/** What lib0 begins an object with. */
const OBJECT = 118;

const COMMA = 0x2c;
const COLON = 0x3a;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * About how many bytes of memory Yjs needs for a struct, beside those of its content: by its kind, as
 * measured with 20,000 of each. Some take 300 times their bytes in an update.
 */
const STRUCT_MEMORY = [
  ...[100, 230, 420, 420, 220], // GC, deleted, JSON, binary, string
  ...[280, 230, 660, 420, 2_400], // embed, format, type, any, document
];

/** The same for a value of an insertion, and for an entry of a map. */
const VALUE_MEMORY = 64;
const ENTRY_MEMORY = 256;

/** Called with the id of a struct that another one builds on. */
export type Depend = (client: number, clock: number) => void;

/**
 * Reads an update of Yjs, format version 1, without making anything of it, which takes a tenth of the
 * time: how many clocks each struct spans, and how many bytes.
 * https://github.com/yjs/yjs/blob/main/INTERNALS.md
 */
export class StructReader {
  readonly #decoder: Decoder;
  readonly #maxValues: number;
  readonly #maxDepth: number;
  #values = 0;
  #memory = 0;

  /** `isOurs` says that the bytes are of what was let in before: Yjs has joined pieces of it since. */
  constructor(
    bytes: Uint8Array,
    { at = 0, isOurs = false }: { at?: number; isOurs?: boolean } = {},
  ) {
    this.#decoder = createDecoder(bytes);
    this.#decoder.pos = at;
    this.#maxValues = isOurs ? Infinity : MAX_VALUES;
    this.#maxDepth = isOurs ? Infinity : MAX_DEPTH;
  }

  /** Where it has got to. */
  get at(): number {
    return this.#decoder.pos;
  }

  get isAtEnd(): boolean {
    return this.#decoder.pos === this.#decoder.arr.length;
  }

  /** About how many bytes of memory Yjs needs for the structs that were read. */
  get memory(): number {
    return this.#memory;
  }

  /** @throws {MalformedUpdateError} */
  number(): number {
    return this.#read(readUint);
  }

  /** Reads a range of clocks that begins at this one, and returns its length. @throws {MalformedUpdateError} */
  range(clock: number): number {
    return checkRange(clock, this.number());
  }

  /** Reads a struct that begins at this clock. @throws {MalformedUpdateError} */
  struct(clock: number): { length: number; isSkip: boolean } {
    const info = this.#byte();
    const kind = info & KIND;
    if (kind === SKIP && info !== SKIP) throw unreadable();
    const hasNoContent = kind === GC || kind === SKIP;
    if (!hasNoContent) this.#dependencies(info);
    this.#memory += STRUCT_MEMORY[kind] ?? 0;
    const length = hasNoContent ? this.number() : this.#content(kind);
    return { length: checkRange(clock, length), isSkip: kind === SKIP };
  }

  /** What the struct here builds on, without moving on. */
  peek(depend: Depend): void {
    const { pos } = this.#decoder;
    const info = this.#byte();
    const kind = info & KIND;
    if (kind !== GC && kind !== SKIP) this.#dependencies(info, depend);
    this.#decoder.pos = pos;
  }

  #dependencies(info: number, depend?: Depend): void {
    if (info & HAS_ORIGIN) this.#id(depend);
    if (info & HAS_RIGHT_ORIGIN) this.#id(depend);
    if (info & (HAS_ORIGIN | HAS_RIGHT_ORIGIN)) return;
    const isRoot = this.number() === 1;
    if (isRoot) this.#string();
    else this.#id(depend);
    if (info & HAS_PARENT_SUB) this.#string();
  }

  #id(depend?: Depend): void {
    const client = this.number();
    const clock = this.number();
    depend?.(client, clock);
  }

  /** Reads an item's content, and returns how many clocks it spans. */
  #content(kind: number): number {
    this.#values = 0;
    switch (kind) {
      case 1: // deleted
        return this.number();
      case 2: // JSON, which old versions wrote
        return this.#each(() => this.#json(true));
      case 3: // binary
        this.#bytes();
        return 1;
      case 4:
        return this.#string();
      case 5: // embed
        this.#json(false);
        return 1;
      case 6: // format
        this.#string();
        this.#json(false);
        return 1;
      case 7: // type
        this.#type();
        return 1;
      case 8: // any
        return this.#each(() => this.#any(0));
      case 9: // document
        this.#string();
        if (this.#decoder.arr[this.#decoder.pos] !== OBJECT) throw unreadable();
        this.#any(0);
        return 1;
      default:
        throw unreadable();
    }
  }

  #each(read: () => void): number {
    const length = this.number();
    for (let n = 0; n < length; n++) read();
    return length;
  }

  #type(): void {
    const ref = this.number();
    if (ref >= TYPES) throw unreadable();
    if (ref === XML_ELEMENT || ref === XML_HOOK) this.#string();
  }

  /** A value in lib0's encoding: https://github.com/dmonad/lib0/blob/main/encoding.js. */
  #any(depth: number): void {
    if (depth > this.#maxDepth) throw tooDeep();
    this.#count(1);
    switch (this.#byte()) {
      case 127: // undefined
      case 126: // null
      case 121: // false
      case 120: // true
        return;
      case 125:
        return void this.#read(readInt);
      case 124: // a float of 32 bits
        return this.#skip(4);
      case 123: // a float of 64 bits
        return this.#skip(8);
      case 122: // a bigint
        this.#count(HEAVY_VALUES - 1);
        return this.#skip(8);
      case 119:
        return void this.#string();
      case OBJECT:
        for (let n = this.number(); n > 0; n--) {
          this.#countEntry();
          this.#string();
          this.#any(depth + 1);
        }
        return;
      case 117:
        for (let n = this.number(); n > 0; n--) this.#any(depth + 1);
        return;
      case 116:
        this.#count(HEAVY_VALUES - 1);
        return void this.#bytes();
      default:
        throw unreadable();
    }
  }

  #json(mayBeUndefined: boolean): void {
    const bytes = this.#bytes();
    this.#count(1);
    this.#weighJson(bytes);
    const text = decode(bytes);
    if (mayBeUndefined && text === "undefined") return;
    try {
      JSON.parse(text);
    } catch (cause) {
      throw unreadable({ cause });
    }
  }

  #weighJson(bytes: Uint8Array): void {
    let depth = 0;
    let isString = false;
    for (let at = 0; at < bytes.length; at++) {
      const byte = bytes[at]!;
      if (isString && byte === BACKSLASH) at++;
      else if (byte === QUOTE) isString = !isString;
      else if (isString) continue;
      else if (byte === COMMA) this.#count(1);
      else if (byte === COLON) this.#countEntry();
      else if (byte === 0x5b || byte === 0x7b) depth++; // [ {
      else if (byte === 0x5d || byte === 0x7d) depth--;
      if (depth > this.#maxDepth) throw tooDeep();
    }
  }

  /** Reads a string, and returns how many UTF-16 units it has. */
  #string(): number {
    const bytes = this.#bytes();
    if (bytes.length > 64) return decode(bytes).length; // from there on that is faster
    for (let at = 0; at < bytes.length; at++) {
      if (bytes[at]! > 0x7f) return decode(bytes).length;
    }
    return bytes.length;
  }

  #countEntry(): void {
    this.#memory += ENTRY_MEMORY - VALUE_MEMORY * (ENTRY_VALUES - 1);
    this.#count(ENTRY_VALUES - 1);
  }

  #count(values: number): void {
    this.#values += values;
    this.#memory += values * VALUE_MEMORY;
    if (this.#values > this.#maxValues) {
      throw new MalformedUpdateError(`one insertion holds over ${MAX_VALUES} values`);
    }
  }

  #byte(): number {
    const byte = this.#decoder.arr[this.#decoder.pos++];
    if (byte === undefined) throw unreadable();
    return byte;
  }

  #skip(length: number): void {
    this.#decoder.pos += length;
    if (this.#decoder.pos > this.#decoder.arr.length) throw unreadable();
  }

  #bytes(): Uint8Array {
    const bytes = this.#read(readBytes);
    this.#memory += bytes.length;
    return bytes;
  }

  #read<T>(read: (decoder: Decoder) => T): T {
    try {
      return read(this.#decoder);
    } catch (error) {
      if (!(error instanceof MalformedNumberError)) throw error;
      throw unreadable({ cause: error });
    }
  }
}

function checkRange(clock: number, length: number): number {
  if (length > 0 && clock + length <= MAX_CLOCK) return length;
  throw new MalformedUpdateError("the update is about nothing, or about clocks beyond reach");
}

function tooDeep(): MalformedUpdateError {
  return new MalformedUpdateError(`values in it are nested over ${MAX_DEPTH} deep`);
}

function decode(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch (cause) {
    throw unreadable({ cause });
  }
}

function unreadable(options?: ErrorOptions): MalformedUpdateError {
  return new MalformedUpdateError("the update cannot be read", options);
}
