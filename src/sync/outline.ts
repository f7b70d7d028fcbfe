import { MalformedUpdateError, StructReader } from "./struct_reader.ts";

/** After so many bytes, structs or ranges it is somebody else's turn: about 5 ms. */
const TURN_BYTES = 256 * 1024;
const TURN_STRUCTS = 2_048;

/** More authors in one update than any document has: Yjs walks through all of them at every change. */
const MAX_CLIENTS = 100_000;

/** The structs of one client in an update: they follow each other. */
export interface Block {
  /** The clock at which they begin, and at which the last that is no gap ends; 0 if all are gaps. */
  clock: number;
  end: number;
  /** How many there are. */
  structs: number;
  /** Where their bytes begin. */
  at: number;
}

/** What an update is about, and where in its bytes. */
export interface Outline {
  update: Uint8Array;
  /** By client id. */
  blocks: Map<number, Block>;
  /** Where the deletions begin, in the bytes. */
  deletionsAt: number;
  /** About how many bytes of memory Yjs needs for its structs. */
  memory: number;
}

/** The outline of an update, as `outlineInSteps` has it, in one go. @throws {MalformedUpdateError} */
export function outline(update: Uint8Array, isOurs = false): Outline {
  const steps = outlineInSteps(update, isOurs);
  while (true) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}

/**
 * The outline of an update; now and then one may do something else in between.
 * @param isOurs It is of what was let in before, piece by piece: limits are for what comes in.
 * @throws {MalformedUpdateError} when it cannot be read, or is none that Yjs might have made: a document
 *   that meets bad bytes half-way is spoilt, and others choke clients that apply them.
 */
export function* outlineInSteps(
  update: Uint8Array,
  isOurs = false,
): Generator<undefined, Outline, undefined> {
  const reader = new StructReader(update, { isOurs });
  let [turnAt, structsLeft] = [TURN_BYTES, TURN_STRUCTS];
  const isTurnOver = () => {
    if (--structsLeft > 0 && reader.at < turnAt) return false;
    [turnAt, structsLeft] = [reader.at + TURN_BYTES, TURN_STRUCTS];
    return true;
  };
  const blocks = new Map<number, Block>();
  for (let left = reader.number(); left > 0; left--) {
    const structs = reader.number();
    const client = reader.number();
    let clock = reader.number();
    if (blocks.has(client)) throw new MalformedUpdateError("the update is not in order");
    if (blocks.size === MAX_CLIENTS && !isOurs) {
      throw tooManyClients();
    }
    const block = { structs, clock, end: 0, at: reader.at };
    blocks.set(client, block);
    for (let n = 0; n < structs; n++) {
      const { length, isSkip } = reader.struct(clock);
      clock += length;
      if (!isSkip) block.end = clock;
      if (isTurnOver()) yield;
    }
  }
  const deletionsAt = reader.at;
  const { memory } = reader;
  for (const _ of readDeletions(reader, isOurs ? Infinity : MAX_CLIENTS)) {
    if (isTurnOver()) yield;
  }
  if (!reader.isAtEnd) {
    throw new MalformedUpdateError("there are bytes after the end of the update");
  }
  return { update, blocks, deletionsAt, memory };
}

/** A client's clocks, from one on. */
export interface Range {
  client: number;
  clock: number;
  length: number;
}

/** A client's clocks, up to one. */
export interface Extent {
  client: number;
  end: number;
}

/** What an update deletes. @throws {MalformedUpdateError} */
export function* readDeletions(reader: StructReader, maxClients = Infinity): Iterable<Range> {
  let clients = reader.number();
  if (clients > maxClients) throw tooManyClients();
  for (; clients > 0; clients--) {
    const client = reader.number();
    for (let ranges = reader.number(); ranges > 0; ranges--) {
      const clock = reader.number();
      yield { client, clock, length: reader.range(clock) };
    }
  }
}

/** How far an update extends: up to which clock it inserts or deletes something of a client. */
export function* extents({ update, blocks, deletionsAt }: Outline): Iterable<Extent> {
  for (const [client, { end }] of blocks) if (end > 0) yield { client, end };
  const reader = new StructReader(update, { at: deletionsAt, isOurs: true });
  for (const { client, clock, length } of readDeletions(reader)) {
    yield { client, end: clock + length };
  }
}

function tooManyClients(): MalformedUpdateError {
  return new MalformedUpdateError(`the update is about more than ${MAX_CLIENTS} clients`);
}
