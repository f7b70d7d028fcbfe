import * as encoding from "lib0/encoding";
import * as Y from "yjs";

type Struct = Y.Item | Y.GC;

/** The structs of one client that go into a piece: they follow each other without a gap. */
interface Run {
  clock: number;
  count: number;
  encoder: Y.UpdateEncoderV1;
}

/**
 * What a peer with this state vector lacks, in updates of about `size` bytes that each apply on their
 * own when they come in order: nothing in one builds on a later one. (A client that gets a large
 * document in one message hears nothing for as long as that takes, and gives its line up.) The last
 * piece holds what was deleted. A single insertion is never cut, however large.
 */
export function pieces(doc: Y.Doc, stateVector: Uint8Array, size: number): Uint8Array[] {
  const whole = Y.encodeStateAsUpdate(doc, stateVector);
  if (whole.length <= size) return [whole];
  const updates: Uint8Array[] = [];
  let runs = new Map<number, Run>();
  let bytes = 0;
  for (const { struct, offset } of inCausalOrder(doc, Y.decodeStateVector(stateVector))) {
    bytes += append(runs, struct, offset);
    if (bytes < size) continue;
    updates.push(assemble(runs));
    runs = new Map();
    bytes = 0;
  }
  if (runs.size > 0) updates.push(assemble(runs));
  updates.push(Y.encodeStateAsUpdate(doc, Y.encodeStateVector(doc)));
  return updates;
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

/** Yjs' update format, version 1, with nothing deleted. */
function assemble(runs: Map<number, Run>): Uint8Array {
  return encoding.encode((encoder) => {
    encoding.writeVarUint(encoder, runs.size);
    for (const [client, run] of runs) {
      encoding.writeVarUint(encoder, run.count);
      encoding.writeVarUint(encoder, client);
      encoding.writeVarUint(encoder, run.clock);
      encoding.writeUint8Array(encoder, encoding.toUint8Array(run.encoder.restEncoder));
    }
    encoding.writeVarUint(encoder, 0);
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
  known: Map<number, number>,
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
      const missing = parentsOf(struct).find((id) =>
        id.client !== client && id.clock >= (cursors.get(id.client)?.clock ?? Infinity)
      );
      if (missing !== undefined) {
        walks.push({ client: missing.client, until: missing.clock });
        continue;
      }
      yield { struct, offset: cursor.clock - struct.id.clock };
      cursor.clock = struct.id.clock + struct.length;
      cursor.next++;
    }
  }
}

/** What must be there before the struct: its neighbours when it was written, and what it lies in. */
function parentsOf(struct: Struct): Y.ID[] {
  if (!(struct instanceof Y.Item)) return [];
  const { origin, rightOrigin, parent } = struct;
  const container = parent instanceof Y.ID
    ? parent
    : (parent as { _item?: Y.Item | null })?._item?.id;
  return [origin, rightOrigin, container].filter((id) => id !== null && id !== undefined);
}
