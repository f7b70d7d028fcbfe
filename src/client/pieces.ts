/**
 * Parts of a Yjs document that apply on their own, for the client and the service.
 *
 * @module
 */
import * as encoding from "lib0/encoding";
import * as Y from "yjs";
import { type Cursor, inCausalOrder } from "./causal_order.ts";

export { type Cursor, inCausalOrder } from "./causal_order.ts";

/** What a document is made of. */
export type Struct = Y.Item | Y.GC;

/** The structs of one client that go into a piece: they follow each other without a gap. */
interface Run {
  clock: number;
  count: number;
  /** Where they lie in what was written. */
  ranges: { from: number; to: number }[];
}

/** About how many bytes the client id, the clock and the number of structs of a run take. */
const RUN_BYTES = 12;

/** For each client id, the clock up to which its structs are known. */
export type StateVector = Map<number, number>;

/** A part of a document: an update that applies on its own to a peer that has everything before it. */
export interface Piece {
  update: Uint8Array;
  /** The peer's state vector once it has applied the update. */
  reaches: StateVector;
  /** Nothing comes after it. */
  last: boolean;
}

/**
 * The next of what a peer with this state vector lacks: about `size` bytes that build on nothing that
 * comes later. (A client that gets a large document in one message hears nothing for as long as that
 * takes, and gives its connection up; and to make it blocks everybody else.) The last piece also holds
 * all that was deleted.
 */
export function nextPiece(doc: Y.Doc, from: StateVector, size: number): Piece {
  const { reaches, last, toUpdate } = nextStructs(doc, from, size);
  return { update: toUpdate(last ? deletionsOf(doc) : NOTHING_DELETED), reaches, last };
}

/** Structs that a peer lacks, not yet written as an update. */
export interface Structs extends Pick<Piece, "reaches" | "last"> {
  /** How many bytes they are about. */
  bytes: number;
  /** Bytes of a value that is over the limit. It was left out, and everything that builds on it. */
  tooLarge: number | null;
  /** Writes them as an update, with these deletions. */
  toUpdate(deletions: Uint8Array): Uint8Array;
}

/**
 * The next structs that a peer with this state vector lacks, of about `size` bytes. A long text or list
 * is cut; a single value is not, however large.
 * @param most The most bytes that a struct may have. With a limit, one over `size` comes alone.
 */
export function nextStructs(
  doc: Y.Doc,
  from: StateVector,
  size: number,
  most = Infinity,
): Structs {
  const runs = new Map<number, Run>();
  const encoder = new Y.UpdateEncoderV1();
  const reaches = new Map(from);
  const leftOut = new Map<number, number>();
  let tooLarge: number | null = null;
  let bytes = 0;
  let last = true;
  for (const { struct, offset } of inCausalOrder(new Cursors(from, doc))) {
    if (bytes >= size) {
      last = false;
      break;
    }
    const { client, clock } = struct.id;
    if (leftOut.size > 0 && buildsOn(struct, leftOut)) {
      leftOut.set(client, Math.min(clock, leftOut.get(client) ?? Infinity));
      continue;
    }
    const end = cutAt(struct, offset, Math.max(size - bytes, size / 2));
    if (most < Infinity) {
      const length = write(new Y.UpdateEncoderV1(), struct, offset, end);
      if (length > most) {
        tooLarge = length;
        leftOut.set(client, clock + offset);
        continue;
      }
      if (length > 2 * size && bytes > 0) {
        last = false;
        break;
      }
    }
    bytes += append(runs, encoder, struct, offset, end);
    reaches.set(client, clock + end);
    if (end < struct.length) {
      last = false;
      break;
    }
  }
  const toUpdate = (deletions: Uint8Array) =>
    assemble(runs, encoding.toUint8Array(encoder.restEncoder), deletions);
  return { reaches, last, bytes, tooLarge, toUpdate };
}

/** As deletions stand at the end of an update: there are none. */
export const NOTHING_DELETED: Uint8Array = new Uint8Array([0]);

/** As it stands at the end of an update; before it stands that there are no structs, in one byte. */
export function deletionsOf(doc: Y.Doc): Uint8Array {
  return Y.encodeStateAsUpdate(doc, Y.encodeStateVector(doc)).subarray(1);
}

/** About how many bytes a deletion takes. */
const RANGE_BYTES = 6;

/** Deletions, as they stand at the end of an update, in pieces of about `size` bytes: one at least. */
export function deletionPieces(
  { clients }: ReturnType<typeof Y.createDeleteSet>,
  size: number,
): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  let piece = new Map<number, [clock: number, length: number][]>();
  let bytes = 0;
  const end = () => {
    pieces.push(writeDeletions(piece));
    piece = new Map();
    bytes = 0;
  };
  for (const [client, deleted] of clients) {
    for (const { clock, len } of deleted) {
      const ranges = piece.get(client) ?? [];
      ranges.push([clock, len]);
      piece.set(client, ranges);
      bytes += RANGE_BYTES;
      if (bytes >= size) end();
    }
  }
  if (piece.size > 0 || pieces.length === 0) end();
  return pieces;
}

function writeDeletions(deletions: Map<number, [clock: number, length: number][]>): Uint8Array {
  return encoding.encode((encoder) => {
    encoding.writeVarUint(encoder, deletions.size);
    for (const [client, ranges] of deletions) {
      encoding.writeVarUint(encoder, client);
      encoding.writeVarUint(encoder, ranges.length);
      for (const range of ranges) range.forEach((n) => encoding.writeVarUint(encoder, n));
    }
  });
}

/** Whether a struct depends on one of these, each of which is the first that is missing of its client. */
function buildsOn(struct: Struct, missing: StateVector): boolean {
  let found = missing.has(struct.id.client);
  dependenciesOf(struct, (client, clock) => {
    found ||= clock >= (missing.get(client) ?? Infinity);
  });
  return found;
}

/**
 * Where a struct ends that is written from `offset` on and is to have about so many bytes: texts and
 * lists can be cut anywhere.
 */
function cutAt(struct: Struct, offset: number, size: number): number {
  const content = struct instanceof Y.Item ? struct.content : null;
  if (content instanceof Y.ContentString) {
    const end = Math.min(struct.length, offset + Math.max(2, Math.floor(size)));
    // The halves of a surrogate pair would become two replacement characters.
    const isHigh = end < struct.length && (content.str.charCodeAt(end - 1) & 0xfc00) === 0xd800;
    return isHigh ? end - 1 : end;
  }
  if (content instanceof Y.ContentAny || content instanceof Y.ContentJSON) {
    const encoder = new Y.UpdateEncoderV1();
    let end = offset;
    do encoder.writeAny(content.arr[end++]); while (
      end < struct.length && encoding.length(encoder.restEncoder) < size
    );
    return end;
  }
  return struct.length;
}

/** Writes a struct from `offset` to `end`, and returns how many bytes that took. */
export function write(
  encoder: Y.UpdateEncoderV1,
  struct: Struct,
  offset: number,
  end: number,
): number {
  const before = encoding.length(encoder.restEncoder);
  if (end === struct.length || !(struct instanceof Y.Item)) {
    struct.write(encoder, offset);
  } else {
    const { content } = struct;
    const part = content.copy();
    part.splice(end);
    struct.content = part;
    try {
      struct.write(encoder, offset);
    } finally {
      struct.content = content;
    }
  }
  return encoding.length(encoder.restEncoder) - before;
}

/** Writes a struct, and returns how many bytes it takes in the update. */
function append(
  runs: Map<number, Run>,
  encoder: Y.UpdateEncoderV1,
  struct: Struct,
  offset: number,
  end: number,
): number {
  const { client, clock } = struct.id;
  const from = encoding.length(encoder.restEncoder);
  const bytes = write(encoder, struct, offset, end);
  const to = from + bytes;
  const run = runs.get(client);
  if (run === undefined) {
    runs.set(client, { clock: clock + offset, count: 1, ranges: [{ from, to }] });
    return bytes + RUN_BYTES;
  }
  run.count++;
  const last = run.ranges.at(-1)!;
  if (last.to === from) last.to = to;
  else run.ranges.push({ from, to });
  return bytes;
}

/** Yjs' update format, version 1. */
function assemble(
  runs: Map<number, Run>,
  structs: Uint8Array,
  deletions: Uint8Array,
): Uint8Array {
  return encoding.encode((encoder) => {
    encoding.writeVarUint(encoder, runs.size);
    for (const [client, run] of runs) {
      encoding.writeVarUint(encoder, run.count);
      encoding.writeVarUint(encoder, client);
      encoding.writeVarUint(encoder, run.clock);
      for (const { from, to } of run.ranges) {
        encoding.writeUint8Array(encoder, structs.subarray(from, to));
      }
    }
    encoding.writeUint8Array(encoder, deletions);
  });
}

type Depend = (client: number, clock: number) => void;

/** An item builds on its neighbours when it was written, or on what it lies in. */
function dependenciesOf(struct: Struct, depend: Depend): void {
  if (!(struct instanceof Y.Item)) return;
  const { origin, rightOrigin, parent } = struct;
  if (origin !== null) depend(origin.client, origin.clock);
  if (rightOrigin !== null) depend(rightOrigin.client, rightOrigin.clock);
  const container = parent instanceof Y.ID
    ? parent
    : (parent as { _item?: Y.Item | null } | null)?._item?.id;
  if (container) depend(container.client, container.clock);
}

/**
 * A cursor for each client that the state vector lacks something of. Each is made when it is asked for: a
 * piece has the structs of few of the clients of a large document.
 */
class Cursors {
  readonly #made = new Map<number, StructCursor>();

  constructor(private readonly known: StateVector, private readonly doc: Y.Doc) {}

  get(client: number): StructCursor | undefined {
    const made = this.#made.get(client);
    if (made !== undefined) return made;
    const structs = this.doc.store.clients.get(client);
    const clock = this.known.get(client) ?? 0;
    if (structs === undefined || clock >= Y.getState(this.doc.store, client)) return undefined;
    const cursor = new StructCursor(client, clock, structs);
    this.#made.set(client, cursor);
    return cursor;
  }

  *values(): Iterable<StructCursor> {
    for (const client of this.doc.store.clients.keys()) {
      const cursor = this.get(client);
      if (cursor !== undefined) yield cursor;
    }
  }
}

/** A walk along the structs of one client in a document. */
class StructCursor implements Cursor<{ struct: Struct; offset: number }> {
  #next: number;

  constructor(readonly client: number, public clock: number, private readonly structs: Struct[]) {
    this.#next = Y.findIndexSS(structs, clock);
  }

  get isDone(): boolean {
    return this.#next === this.structs.length;
  }

  dependencies(depend: Depend): void {
    dependenciesOf(this.structs[this.#next]!, depend);
  }

  take(): { struct: Struct; offset: number } {
    const struct = this.structs[this.#next++]!;
    const offset = this.clock - struct.id.clock;
    this.clock = struct.id.clock + struct.length;
    return { struct, offset };
  }
}
