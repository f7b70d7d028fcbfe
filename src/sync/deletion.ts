import * as Y from "yjs";
import type { Range } from "./outline.ts";

/** A part of a deletion has about so many structs. */
const PART = 64;

/** To cut a struct in two moves all of its author's that follow it: it takes as long as so many do. */
const SPLIT = 8;

/** Part of a deletion. */
export interface Part extends Range {
  /** About how many structs Yjs has to look at. */
  structs: number;
}

/**
 * A deletion, part by part. What lies in something goes before it: deleting a list would delete all
 * that is in it, however much, in one go. The document may change between two parts.
 */
export function* inParts(doc: Y.Doc, { client, clock, length }: Range): Iterable<Part> {
  const end = clock + length;
  while (clock < end) {
    const part = partFrom(doc.store, client, clock, end);
    if (part.holder !== null) yield* contents(part.holder);
    yield { client, clock, length: part.end - clock, structs: part.structs };
    clock = part.end;
  }
}

/** The next structs that hold nothing, or one that does. */
function partFrom(store: Y.Doc["store"], client: number, clock: number, end: number) {
  const structs = store.clients.get(client);
  if (structs === undefined || clock >= Y.getState(store, client)) {
    return { end, structs: 1, holder: null }; // of what is not here
  }
  const first = Y.findIndexSS(structs, clock);
  const holder = typeIn(structs[first]!);
  let next = first + 1;
  if (holder === null) {
    while (next < structs.length && next < first + PART && typeIn(structs[next]!) === null) next++;
  }
  const last = structs[next - 1]!;
  const lastEnd = last.id.clock + last.length;
  const splits = Number(structs[first]!.id.clock < clock) + Number(lastEnd > end);
  return { end: Math.min(end, lastEnd), structs: next - first + splits * SPLIT, holder };
}

/** The type that a struct holds, such as a list, unless it was deleted. */
function typeIn(struct: Y.Item | Y.GC): Y.AbstractType<unknown> | null {
  if (!(struct instanceof Y.Item) || struct.deleted) return null;
  return struct.content instanceof Y.ContentType ? struct.content.type : null;
}

/** All that is in a type, what is deeper first. A stack of its own, for it may be very deep. */
function* contents(type: Y.AbstractType<unknown>): Iterable<Part> {
  const stack: { item: Y.Item | null; items: Iterator<Y.Item> }[] = [
    { item: null, items: itemsOf(type) },
  ];
  while (stack.length > 0) {
    const { item, items } = stack.at(-1)!;
    const { done, value: child } = items.next();
    if (!done) {
      const inner = typeIn(child);
      if (inner !== null) stack.push({ item: child, items: itemsOf(inner) });
      else if (!child.deleted) yield whole(child);
      continue;
    }
    stack.pop();
    if (item !== null) yield whole(item);
  }
}

function* itemsOf(type: Y.AbstractType<unknown>): Generator<Y.Item, undefined> {
  yield* type._map.values();
  for (let item = type._start; item !== null; item = item.right) yield item;
}

function whole({ id: { client, clock }, length }: Y.Item): Part {
  return { client, clock, length, structs: 1 };
}
