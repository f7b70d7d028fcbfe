import * as encoding from "lib0/encoding";
import * as Y from "yjs";
import { type Struct, write } from "./pieces.ts";

/** Where a document and another have different things under the same client id, from a clock on. */
export interface Conflict {
  client: number;
  clock: number;
}

/**
 * What of a document is not what the service has under the same ids: somebody else has used our client
 * id. Who did it first is who the service believes.
 * @param theirs All that the service has.
 * @param isOwn Whether a struct was made here and never acknowledged: only of that a deleted one counts.
 */
export function conflictsWith(
  doc: Y.Doc,
  theirs: Uint8Array[],
  isOwn: (client: number, clock: number) => boolean,
): Conflict[] {
  const other = new Y.Doc({ gc: false });
  other.transact(() => theirs.forEach((update) => Y.applyUpdate(other, update)));
  const conflicts: Conflict[] = [];
  for (const [client, structs] of doc.store.clients) {
    const others = other.store.clients.get(client);
    const clock = others && firstDifference(structs, others, isOwn);
    if (clock !== undefined) conflicts.push({ client, clock });
  }
  other.destroy();
  return conflicts;
}

/** Whether an update has something else than a document under an id that both have. */
export function contradicts(
  update: Uint8Array,
  doc: Y.Doc,
  isOwn: (client: number, clock: number) => boolean,
): boolean {
  const byClient = Map.groupBy(Y.decodeUpdate(update).structs, ({ id }) => id.client);
  return [...byClient].some(([client, theirs]) => {
    const ours = doc.store.clients.get(client);
    return ours !== undefined && firstDifference(ours, theirs, isOwn) !== undefined;
  });
}

/** The first clock from which on two lists of one client's structs differ. */
function firstDifference(
  ours: Struct[],
  theirs: (Struct | Y.Skip)[],
  isOwn: (client: number, clock: number) => boolean,
): number | undefined {
  let [m, clock] = [0, theirs[0]!.id.clock];
  const last = ours.at(-1)!;
  if (clock >= last.id.clock + last.length) return;
  let n = Y.findIndexSS(ours, clock);
  while (n < ours.length && m < theirs.length) {
    const [one, two] = [ours[n]!, theirs[m]!];
    const [oneEnd, twoEnd] = [one.id.clock + one.length, two.id.clock + two.length];
    const end = Math.min(oneEnd, twoEnd);
    if (isDifferent(one, two, clock, end, isOwn)) {
      // By halves: the same up to `same`, and not up to `other`.
      let [same, other] = [clock, end];
      while (other - same > 1) {
        const middle = Math.floor((same + other) / 2);
        if (isDifferent(one, two, clock, middle, isOwn)) other = middle;
        else same = middle;
      }
      return same;
    }
    clock = end;
    if (oneEnd === end) n++;
    if (twoEnd === end) m++;
  }
}

/**
 * What was deleted can be compared no more, or only by where it was. What somebody else has deleted is
 * different if it is ours alone, so far: it may have been something else.
 */
function isDifferent(
  ours: Struct,
  theirs: Struct | Y.Skip,
  from: number,
  to: number,
  isOwn: (client: number, clock: number) => boolean,
): boolean {
  if (!(ours instanceof Y.Item)) return false;
  const isLost = () => !ours.deleted && isOwn(ours.id.client, to - 1);
  if (!(theirs instanceof Y.Item)) return isLost();
  if (!isEqual(placeOf(ours, from), placeOf(theirs, from))) return true;
  if (ours.content instanceof Y.ContentDeleted) return false;
  if (theirs.content instanceof Y.ContentDeleted) return isLost();
  return !isEqual(bytesOf(ours, from, to), bytesOf(theirs, from, to));
}

function isEqual(one: Uint8Array, two: Uint8Array): boolean {
  return one.length === two.length && one.every((byte, n) => byte === two[n]);
}

function bytesOf(item: Y.Item, from: number, to: number): Uint8Array {
  const encoder = new Y.UpdateEncoderV1();
  write(encoder, item, from - item.id.clock, to - item.id.clock);
  return encoding.toUint8Array(encoder.restEncoder);
}

/** What an item builds on, from a clock on. */
function placeOf(item: Y.Item, from: number): Uint8Array {
  const { content } = item;
  const offset = from - item.id.clock;
  item.content = new Y.ContentDeleted(offset + 1);
  try {
    return bytesOf(item, from, item.id.clock + item.length);
  } finally {
    item.content = content;
  }
}

/**
 * Gives everything that a client wrote from a clock on to another client id, in place: nothing that
 * somebody sees changes. The new id is next to the old one, as far as others use any: where several
 * inserted at the same place, the order of their ids decides, and it stays the same.
 * @returns the new id
 */
export function moveToNewClient(
  doc: Y.Doc,
  { client, clock }: Conflict,
  random: () => number,
): number {
  const newClient = idNextTo(client, doc, random);
  const moved = ({ client: itsClient, clock: itsClock }: Y.ID) =>
    itsClient === client && itsClock >= clock;
  const move = <T extends Y.ID | null>(id: T): T =>
    id !== null && moved(id) ? Y.createID(newClient, id.clock - clock) as T : id;
  doc.transact((transaction) => {
    const { clients } = doc.store;
    Y.getItemCleanStart(transaction, Y.createID(client, clock));
    const structs = clients.get(client)!;
    const at = Y.findIndexSS(structs, clock);
    const first = structs[at]!;
    const kept = clock - first.id.clock;
    // Yjs does not cut what was collected as garbage.
    const isCut = kept > 0;
    const tail = structs.splice(at + Number(isCut));
    if (isCut) {
      structs[at] = new Y.GC(first.id, kept);
      tail.unshift(new Y.GC(Y.createID(client, clock), first.length - kept));
    }
    for (const struct of tail) struct.id = move(struct.id);
    clients.set(newClient, tail);
    // The transaction is to tell of the new client, and not that the old one has become shorter.
    if (clock > 0) transaction.beforeState.set(client, clock);
    else transaction.beforeState.delete(client);
    if (structs.length === 0) clients.delete(client);
    for (const all of clients.values()) {
      for (const struct of all) {
        if (!(struct instanceof Y.Item)) continue;
        struct.origin = move(struct.origin);
        struct.rightOrigin = move(struct.rightOrigin);
        struct.redone = move(struct.redone);
      }
    }
  }, moveToNewClient);
  if (doc.clientID === client) doc.clientID = newClient;
  return newClient;
}

/** An id that nobody uses, with no other between it and this one; if there is none, any. */
function idNextTo(client: number, { store }: Y.Doc, random: () => number): number {
  let [below, above] = [-1, Math.max(MOST_ID, client + MOST_ID)];
  for (const id of store.clients.keys()) {
    if (id < client) below = Math.max(below, id);
    else if (id > client) above = Math.min(above, id);
  }
  const [from, to] = above - client > client - below ? [client, above] : [below, client];
  const isThereRoom = to - from > 1;
  return isThereRoom
    ? from + 1 + Math.floor(random() * (to - from - 1))
    : Math.floor(random() * MOST_ID);
}

/** Yjs draws client ids below this. */
const MOST_ID = 2 ** 32;
