import * as encoding from "lib0/encoding";
import * as Y from "yjs";
import { type Cursor, inCausalOrder } from "./causal_order.ts";

type Struct = Y.Item | Y.GC;

/** The structs of one client that go into a piece: they follow each other without a gap. */
interface Run {
  clock: number;
  count: number;
  encoder: Y.UpdateEncoderV1;
}

/** For each client id, the clock up to which its structs are known. */
export type StateVector = Map<number, number>;

/** A part of a document: an update that applies on its own to whoever has what was before it. */
export interface Piece {
  update: Uint8Array;
  /** What one has of the document with it. */
  reaches: StateVector;
  /** Nothing comes after it. */
  last: boolean;
}

/**
 * The next of what a peer with this state vector lacks: about `size` bytes that build on nothing that
 * comes later. (A client that gets a large document in one message hears nothing for as long as that
 * takes, and gives its line up; and to make it blocks everybody else.) The last piece also holds all
 * that was deleted. A single insertion is never cut, however large.
 */
export function nextPiece(doc: Y.Doc, from: StateVector, size: number): Piece {
  const runs = new Map<number, Run>();
  const reaches = new Map(from);
  let bytes = 0;
  for (const { struct, offset } of inCausalOrder(cursorsFrom(from, doc))) {
    if (bytes >= size) return { update: assemble(runs, NOTHING_DELETED), reaches, last: false };
    bytes += append(runs, struct, offset);
    reaches.set(struct.id.client, struct.id.clock + struct.length);
  }
  return { update: assemble(runs, deletionsOf(doc)), reaches, last: true };
}

const NOTHING_DELETED = new Uint8Array([0]);

/** As it stands at the end of an update; before it stands that there are no structs, in one byte. */
export function deletionsOf(doc: Y.Doc): Uint8Array {
  return Y.encodeStateAsUpdate(doc, Y.encodeStateVector(doc)).subarray(1);
}

/** Adds a struct from `offset` on, and returns how many bytes that took. */
function append(runs: Map<number, Run>, struct: Struct, offset: number): number {
  const { client, clock } = struct.id;
  let run = runs.get(client);
  if (run === undefined) {
    run = { clock: clock + offset, count: 0, encoder: new Y.UpdateEncoderV1() };
    runs.set(client, run);
  }
  const before = encoding.length(run.encoder.restEncoder);
  struct.write(run.encoder, offset);
  run.count++;
  return encoding.length(run.encoder.restEncoder) - before;
}

/** Yjs' update format, version 1. */
function assemble(runs: Map<number, Run>, deletions: Uint8Array): Uint8Array {
  return encoding.encode((encoder) => {
    encoding.writeVarUint(encoder, runs.size);
    for (const [client, run] of runs) {
      encoding.writeVarUint(encoder, run.count);
      encoding.writeVarUint(encoder, client);
      encoding.writeVarUint(encoder, run.clock);
      encoding.writeUint8Array(encoder, encoding.toUint8Array(run.encoder.restEncoder));
    }
    encoding.writeUint8Array(encoder, deletions);
  });
}

/** A cursor for each client that the state vector lacks something of. */
function cursorsFrom(known: StateVector, doc: Y.Doc): Map<number, StructCursor> {
  const cursors = new Map<number, StructCursor>();
  for (const [client, structs] of doc.store.clients) {
    const clock = known.get(client) ?? 0;
    if (clock >= Y.getState(doc.store, client)) continue;
    cursors.set(client, new StructCursor(client, clock, structs));
  }
  return cursors;
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

  /** An item builds on its neighbours when it was written, or on what it lies in. */
  dependencies(depend: (client: number, clock: number) => void): void {
    const struct = this.structs[this.#next];
    if (!(struct instanceof Y.Item)) return;
    const { origin, rightOrigin, parent } = struct;
    if (origin !== null) depend(origin.client, origin.clock);
    if (rightOrigin !== null) depend(rightOrigin.client, rightOrigin.clock);
    const container = parent instanceof Y.ID
      ? parent
      : (parent as { _item?: Y.Item | null } | null)?._item?.id;
    if (container) depend(container.client, container.clock);
  }

  take(): { struct: Struct; offset: number } {
    const struct = this.structs[this.#next++]!;
    const offset = this.clock - struct.id.clock;
    this.clock = struct.id.clock + struct.length;
    return { struct, offset };
  }
}
