/**
 * The messages of the awareness protocol of y-protocols:
 * https://github.com/yjs/y-protocols/blob/master/awareness.js.
 */
import { createDecoder } from "lib0/decoding";
import * as encoding from "lib0/encoding";
import { decodeUtf8 } from "lib0/string";
import { awarenessFrame, BadFrameError } from "./frames.ts";
import { readBytes, readUint } from "./varint.ts";

/** One client's state, as it goes over the wire. */
export interface Entry {
  clientId: number;
  clock: number;
  /** JSON; `null` when the client has gone. */
  state: string;
}

/** An entry as it came. Most are repetitions of others, and are not looked into. */
export interface RawEntry {
  clientId: number;
  clock: number;
  /** JSON in UTF-8. */
  state: Uint8Array;
}

/** What a connection says of a client of its own. */
export interface Heard extends Entry {
  /** What the state says. */
  said: unknown;
}

/** A client, as one instance tells another. */
export interface Told extends Entry {
  /** The account that the client id belongs to. */
  did: string;
  /** When that account first used the client id, by the clock of presence. */
  since: number;
}

/** The state of a client that has gone. */
export const GONE = "null";
const GONE_BYTES = new TextEncoder().encode(GONE);

/** A message about nobody: nothing to any client but a sign that the connection is alive. */
export const NOBODY_FRAME: Uint8Array = awarenessFrame(new Uint8Array([0]));

/** Whether a state says that its client has gone. */
export function isGone(state: Uint8Array): boolean {
  return state.length === GONE_BYTES.length && state.every((byte, n) => byte === GONE_BYTES[n]);
}

/** @throws {BadFrameError} */
export function readEntries(bytes: Uint8Array): RawEntry[] {
  return orBadFrame(() => {
    const decoder = createDecoder(bytes);
    const entries: RawEntry[] = [];
    for (let left = readUint(decoder); left > 0; left--) {
      const clientId = readUint(decoder);
      const clock = readUint(decoder);
      entries.push({ clientId, clock, state: readBytes(decoder) });
    }
    return entries;
  });
}

/** Every client will parse a state: none may choke on it. @throws {BadFrameError} */
export function readState({ clientId, clock, state }: RawEntry): Heard {
  return orBadFrame(() => {
    const text = decodeUtf8(state);
    const said: unknown = JSON.parse(text);
    return { clientId, clock, state: said === null ? GONE : text, said };
  });
}

/** As instances tell each other. */
export function encodeTold(all: Told[]): Uint8Array {
  return encoding.encode((encoder) => {
    encoding.writeVarUint(encoder, all.length);
    for (const told of all) {
      writeEntry(encoder, told);
      encoding.writeVarString(encoder, told.did);
      encoding.writeVarUint(encoder, told.since);
    }
  });
}

/** @throws {BadFrameError} */
export function decodeTold(bytes: Uint8Array): Told[] {
  return orBadFrame(() => {
    const decoder = createDecoder(bytes);
    return Array.from({ length: readUint(decoder) }, () => ({
      clientId: readUint(decoder),
      clock: readUint(decoder),
      state: decodeUtf8(readBytes(decoder)),
      did: decodeUtf8(readBytes(decoder)),
      since: readUint(decoder),
    }));
  });
}

/**
 * Entries that are encoded once and sent to many. A client must not be told of itself under the clock
 * that others are told, or it would take up its own old state: so each reader's frame leaves out what is
 * its own.
 */
export class EntryList<Owner> {
  readonly #bytes: Uint8Array;
  readonly #count: number;
  /** Where each owner's entries are. */
  readonly #parts = new Map<Owner, { start: number; end: number; count: number }>();
  #whole: Uint8Array | null = null;

  constructor(byOwner: Map<Owner, Entry[]>) {
    const encoder = encoding.createEncoder();
    let count = 0;
    for (const [owner, entries] of byOwner) {
      const start = encoding.length(encoder);
      for (const entry of entries) writeEntry(encoder, entry);
      this.#parts.set(owner, { start, end: encoding.length(encoder), count: entries.length });
      count += entries.length;
    }
    this.#bytes = encoding.toUint8Array(encoder);
    this.#count = count;
  }

  get isEmpty(): boolean {
    return this.#count === 0;
  }

  /** The frame for a reader, with these entries in the place of its own; null for nothing. */
  frameFor(reader: Owner, own: Entry[]): Uint8Array | null {
    const part = this.#parts.get(reader);
    if (part === undefined && own.length === 0) return this.#wholeFrame();
    const { start, end, count } = part ?? { start: 0, end: 0, count: 0 };
    const total = this.#count - count + own.length;
    if (total === 0) return null;
    return awarenessFrame(encoding.encode((encoder) => {
      encoding.writeVarUint(encoder, total);
      encoding.writeUint8Array(encoder, this.#bytes.subarray(0, start));
      encoding.writeUint8Array(encoder, this.#bytes.subarray(end));
      for (const entry of own) writeEntry(encoder, entry);
    }));
  }

  #wholeFrame(): Uint8Array | null {
    if (this.isEmpty) return null;
    this.#whole ??= awarenessFrame(encoding.encode((encoder) => {
      encoding.writeVarUint(encoder, this.#count);
      encoding.writeUint8Array(encoder, this.#bytes);
    }));
    return this.#whole;
  }
}

function writeEntry(encoder: encoding.Encoder, { clientId, clock, state }: Entry): void {
  encoding.writeVarUint(encoder, clientId);
  encoding.writeVarUint(encoder, clock);
  encoding.writeVarString(encoder, state);
}

function orBadFrame<T>(read: () => T): T {
  try {
    return read();
  } catch {
    throw new BadFrameError("the awareness message cannot be read");
  }
}
