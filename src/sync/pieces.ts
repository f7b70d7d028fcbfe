import * as encoding from "lib0/encoding";
import * as Y from "yjs";

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
  for (const { struct, offset } of inCausalOrder(doc, from)) {
    if (bytes >= size) return { update: assemble(runs, NOTHING_DELETED), reaches, last: false };
    bytes += append(runs, struct, offset);
    reaches.set(struct.id.client, struct.id.clock + struct.length);
  }
  return { update: assemble(runs, deletionsOf(doc)), reaches, last: true };
}

const NOTHING_DELETED = new Uint8Array([0]);

/** As it stands at the end of an update; before it stands that there are no structs, in one byte. */
function deletionsOf(doc: Y.Doc): Uint8Array {
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

/** Where the walk is with one client's structs. */
interface Cursor {
  structs: Struct[];
  next: number;
  /** Everything below this clock has been passed. */
  clock: number;
}

/** Every struct from the state vector on, none before one that it builds on. */
function* inCausalOrder(
  doc: Y.Doc,
  known: StateVector,
): Iterable<{ struct: Struct; offset: number }> {
  const cursors = new Map<number, Cursor>();
  for (const [client, structs] of doc.store.clients) {
    const clock = known.get(client) ?? 0;
    if (clock >= Y.getState(doc.store, client)) continue;
    cursors.set(client, { structs, next: Y.findIndexSS(structs, clock), clock });
  }
  for (const client of cursors.keys()) {
    // Whose structs are walked, and up to which clock: below each stands the one that waits for it.
    const walks = [{ client, until: Infinity }];
    while (walks.length > 0) {
      const { client, until } = walks.at(-1)!;
      const cursor = cursors.get(client)!;
      const struct = cursor.structs[cursor.next];
      if (struct === undefined || cursor.clock > until) {
        walks.pop();
        continue;
      }
      const missing = struct instanceof Y.Item ? missingFor(struct, cursors) : null;
      if (missing !== null) {
        walks.push({ client: missing.client, until: missing.clock });
        continue;
      }
      yield { struct, offset: cursor.clock - struct.id.clock };
      cursor.clock = struct.id.clock + struct.length;
      cursor.next++;
    }
  }
}

/** What the item builds on and has not been passed: its neighbours when it was written, or what it lies in. */
function missingFor(item: Y.Item, cursors: Map<number, Cursor>): Y.ID | null {
  const isMissing = (id: Y.ID | null | undefined): id is Y.ID =>
    id !== null && id !== undefined && id.client !== item.id.client &&
    id.clock >= (cursors.get(id.client)?.clock ?? Infinity);
  const { origin, rightOrigin, parent } = item;
  if (isMissing(origin)) return origin;
  if (isMissing(rightOrigin)) return rightOrigin;
  const container = parent instanceof Y.ID
    ? parent
    : (parent as { _item?: Y.Item | null })?._item?.id;
  return isMissing(container) ? container : null;
}
