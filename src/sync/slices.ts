import * as encoding from "lib0/encoding";
import { type Cursor, inCausalOrder } from "@tessera/client/pieces";
import type { Part } from "./deletion.ts";
import { type Block, type Outline, type Range, readDeletions } from "./outline.ts";
import { StructReader } from "./struct_reader.ts";

/** So many bytes of an update, or of memory, take about as long as one more struct. */
const STRUCT_BYTES = 128;
const STRUCT_MEMORY = 256;

/**
 * The most that is applied without a look at the clock: among 20,000 structs that were inserted at the
 * same place, 16 more take Yjs some 30 ms.
 */
export const FINE_WEIGHT = 16;

/** Cuts a deletion: see `inParts`. */
export type Cut = (deletion: Range) => Iterable<Part>;

/** Part of an update, which is an update itself. */
export interface Slice {
  update: Uint8Array;
  /** About how many structs Yjs has to look at. */
  weight: number;
  /** What it inserts: the clocks of each client, by its id. */
  blocks: ReadonlyMap<number, { clock: number; end: number }>;
}

/** A struct, where it lies in the bytes, and what it belongs to. */
interface Placed {
  client: number;
  clock: number;
  end: number;
  from: number;
  to: number;
  /** About how many structs take as long. */
  weight: number;
}

/**
 * Cuts an update into slices that apply one after the other, none of which takes long. Yjs applies an
 * update in one go: one of 8 MiB would keep everybody waiting for a second.
 */
export class Slices {
  readonly #outline: Outline;
  readonly #cut: Cut;
  // Few updates are cut: what it takes is made for those alone.
  #structs: Iterator<Placed> | null = null;
  #deletions: Iterator<Part> | null = null;
  #structsLeft = 0;
  #state: "new" | "structs" | "deletions" | "done" = "new";

  constructor(outline: Outline, cut: Cut) {
    this.#outline = outline;
    this.#cut = cut;
  }

  /** There are no more. */
  get done(): boolean {
    return this.#state === "done";
  }

  /** Whether the update deletes anything: else its deletions are one zero. */
  get #deletes(): boolean {
    return this.#outline.update.length > this.#outline.deletionsAt + 1;
  }

  /** What comes next are deletions: they are cut by the document, which has to have what came before. */
  get isAtDeletions(): boolean {
    return this.#state === "deletions";
  }

  /** The next slices, of about this weight together. */
  take(weight: number): Slice[] {
    const slices: Slice[] = [];
    const { isAtDeletions } = this;
    let left = weight;
    while (left > 0 && !this.done && this.isAtDeletions === isAtDeletions) {
      const slice = this.next(Math.min(left, FINE_WEIGHT));
      slices.push(slice);
      left -= slice.weight;
    }
    return slices;
  }

  /** The next slice, of about this weight; a single insertion is never cut. The last may be empty. */
  next(weight: number): Slice {
    const { update, blocks } = this.#outline;
    if (this.#state === "new") {
      const whole = weightOf(this.#outline, this.#cut, weight);
      if (whole > weight) {
        for (const { structs } of blocks.values()) this.#structsLeft += structs;
      }
      const isOneInsertion = this.#structsLeft === 1 && !this.#deletes;
      if (whole <= weight || isOneInsertion) {
        this.#state = "done";
        return { update, weight: whole, blocks };
      }
    }
    const slice = new SliceWriter(update);
    if (this.#state !== "deletions") {
      this.#structs ??= structsOf(this.#outline)[Symbol.iterator]();
      fill(this.#structs, weight, slice, (struct) => {
        slice.addStruct(struct);
        this.#structsLeft--;
      });
      if (this.#structsLeft > 0) this.#state = "structs";
      else this.#state = this.#deletes ? "deletions" : "done";
    } else {
      this.#deletions ??= deletionsOf(this.#outline, this.#cut)[Symbol.iterator]();
      const isLast = fill(this.#deletions, weight, slice, (part) => slice.addDeletion(part));
      if (isLast) this.#state = "done";
    }
    return { update: slice.write(), weight: slice.weight, blocks: slice.blocks };
  }
}

/** Adds to a slice till it is heavy enough, or there is no more: then it returns true. */
function fill<T>(
  source: Iterator<T>,
  weight: number,
  slice: SliceWriter,
  add: (one: T) => void,
): boolean {
  while (slice.weight < weight) {
    const { done, value } = source.next();
    if (done) return true;
    add(value);
  }
  return false;
}

/** The weight of an update, as far as it is not over the limit anyway. */
function weightOf(
  { update, blocks, deletionsAt, memory }: Outline,
  cut: Cut,
  limit: number,
): number {
  let weight = Math.floor(update.length / STRUCT_BYTES);
  for (const { structs } of blocks.values()) weight += structs;
  weight = Math.max(weight, Math.floor(memory / STRUCT_MEMORY));
  if (weight > limit) return weight;
  for (
    const deletion of readDeletions(new StructReader(update, { at: deletionsAt, isOurs: true }))
  ) {
    for (const { structs } of cut(deletion)) {
      weight += structs;
      if (weight > limit) return weight;
    }
  }
  return weight;
}

function* deletionsOf({ update, deletionsAt }: Outline, cut: Cut): Iterable<Part> {
  const reader = new StructReader(update, { at: deletionsAt, isOurs: true });
  for (const deletion of readDeletions(reader)) yield* cut(deletion);
}

function structsOf({ update, blocks }: Outline): Iterable<Placed> {
  const cursors = new Map<number, BlockCursor>();
  for (const [client, block] of blocks) cursors.set(client, new BlockCursor(update, client, block));
  return inCausalOrder(cursors);
}

/** A walk along one client's structs in the bytes of an update. */
class BlockCursor implements Cursor<Placed> {
  readonly #reader: StructReader;
  #left: number;
  clock: number;

  constructor(update: Uint8Array, readonly client: number, { structs, clock, at }: Block) {
    this.#reader = new StructReader(update, { at, isOurs: true });
    this.#left = structs;
    this.clock = clock;
  }

  get isDone(): boolean {
    return this.#left === 0;
  }

  dependencies(depend: (client: number, clock: number) => void): void {
    this.#reader.peek(depend);
  }

  take(): Placed {
    const { client, clock } = this;
    const { at: from, memory } = this.#reader;
    this.clock += this.#reader.struct(clock).length;
    this.#left--;
    const to = this.#reader.at;
    const weight = Math.max(
      1 + (to - from) / STRUCT_BYTES,
      (this.#reader.memory - memory) / STRUCT_MEMORY,
    );
    return { client, clock, end: this.clock, from, to, weight };
  }
}

/** Structs of one client that follow each other, in the bytes also. */
interface Run extends Placed {
  structs: number;
}

/** Writes an update of parts of another one, in format version 1. */
class SliceWriter {
  readonly #runs = new Map<number, Run>();
  readonly #deletions = new Map<number, Range[]>();
  weight = 0;

  constructor(private readonly update: Uint8Array) {}

  get blocks(): ReadonlyMap<number, Run> {
    return this.#runs;
  }

  addStruct(struct: Placed): void {
    const run = this.#runs.get(struct.client);
    if (run === undefined) {
      this.#runs.set(struct.client, { ...struct, structs: 1 });
    } else {
      run.to = struct.to;
      run.end = struct.end;
      run.structs++;
    }
    this.weight += struct.weight;
  }

  addDeletion({ client, clock, length, structs }: Part): void {
    const ranges = this.#deletions.get(client);
    const last = ranges?.at(-1);
    if (ranges === undefined) this.#deletions.set(client, [{ client, clock, length }]);
    else if (last!.clock + last!.length === clock) last!.length += length;
    else ranges.push({ client, clock, length });
    this.weight += structs;
  }

  write(): Uint8Array {
    return encoding.encode((encoder) => {
      const write = (number: number) => encoding.writeVarUint(encoder, number);
      write(this.#runs.size);
      for (const { client, clock, structs, from, to } of this.#runs.values()) {
        write(structs);
        write(client);
        write(clock);
        encoding.writeUint8Array(encoder, this.update.subarray(from, to));
      }
      write(this.#deletions.size);
      for (const [client, ranges] of this.#deletions) {
        write(client);
        write(ranges.length);
        for (const { clock, length } of ranges) {
          write(clock);
          write(length);
        }
      }
    });
  }
}
