import { isDeepStrictEqual } from "node:util";
import * as Y from "yjs";

type Struct = Y.Item | Y.GC;
type Store = Y.Doc["store"];

/**
 * Whether an update holds something else than a document does under the same client id and clock. Yjs
 * would pass over what it has, whatever is in it. Structs may have been cut, joined and deleted since
 * they were written: what they stood beside, and what they hold, is compared clock by clock. Of what was
 * deleted only that it was there may be left; then there is nothing to compare.
 */
export function isInConflict(store: Store, update: Uint8Array): boolean {
  return Y.decodeUpdate(update).structs.some((struct) =>
    struct instanceof Y.Item && differs(store, struct)
  );
}

/** Whether a struct differs from those that the document has in its place. */
function differs(store: Store, item: Y.Item): boolean {
  const { client, clock } = item.id;
  const structs: Struct[] | undefined = store.clients.get(client);
  if (structs === undefined || clock >= Y.getState(store, client)) return false;
  const end = clock + item.length;
  for (let n = Y.findIndexSS(structs, clock); n < structs.length; n++) {
    const known = structs[n]!;
    if (known.id.clock >= end) return false;
    if (known instanceof Y.Item && !matches(item, known, structs[n - 1])) return true;
  }
  return false;
}

/** Whether two items are the same where they overlap. The document has `before` before the known one. */
function matches(item: Y.Item, known: Y.Item, before?: Struct): boolean {
  const from = Math.max(item.id.clock, known.id.clock);
  const to = Math.min(item.id.clock + item.length, known.id.clock + known.length);
  return isSameId(originAt(item, from), originAt(known, from)) &&
    isSameId(item.rightOrigin, known.rightOrigin) &&
    (from > item.id.clock || isSameParent(item, known)) &&
    isSameContent(item, known, from, to, before);
}

/** What stood to the left of a clock of an item when it was written: the one before it, but for the first. */
function originAt({ id, origin }: Y.Item, clock: number): Y.ID | null {
  return clock === id.clock ? origin : new Y.ID(id.client, clock - 1);
}

function isSameId(one: Y.ID | null, two: Y.ID | null): boolean {
  return one === two || one?.client === two?.client && one?.clock === two?.clock;
}

/** An item that was read from an update names its parent only where it has no neighbours. */
function isSameParent({ parent, parentSub }: Y.Item, known: Y.Item): boolean {
  if (parent === null) return true;
  const type = known.parent as Y.AbstractType<unknown>;
  if (parentSub !== known.parentSub) return false;
  if (parent instanceof Y.ID) return isSameId(parent, type._item?.id ?? null);
  return type._item === null && Y.findRootTypeKey(type) === (parent as unknown);
}

function isSameContent(
  item: Y.Item,
  known: Y.Item,
  from: number,
  to: number,
  before?: Struct,
): boolean {
  const [one, two] = [item.content, known.content];
  if (one instanceof Y.ContentDeleted || two instanceof Y.ContentDeleted) return true;
  if (one.constructor !== two.constructor) return false;
  if (one instanceof Y.ContentString) {
    const start = Math.max(known.id.clock, from - 1);
    const last = start < from ? textOf(known, start, from) : lastUnit(before);
    return isSameText(textOf(item, from, to), textOf(known, from, to), last);
  }
  if (one instanceof Y.ContentType) return isSameType(one.type, (two as Y.ContentType).type);
  if (one instanceof Y.ContentDoc) return one.doc.guid === (two as Y.ContentDoc).doc.guid;
  return isDeepStrictEqual(valuesOf(item, from, to), valuesOf(known, from, to));
}

function textOf({ id, content }: Y.Item, from: number, to: number): string {
  return (content as Y.ContentString).str.slice(from - id.clock, to - id.clock);
}

/** The last unit of a text. Of what was deleted, it may have been half a pair. */
function lastUnit(struct?: Struct): string {
  if (struct === undefined) return "";
  if (struct instanceof Y.GC || struct.deleted) return String.fromCharCode(REPLACEMENT);
  return struct.content instanceof Y.ContentString ? struct.content.str.slice(-1) : "";
}

const REPLACEMENT = 0xfffd;
const isHalf = (unit: number) => unit >= 0xd800 && unit <= 0xdfff;

/**
 * Where Yjs cuts a text between the halves of a surrogate pair, it puts U+FFFD in the place of both, also
 * where the second is another letter; and half a pair that stands alone becomes one on its way.
 */
function isSameText(one: string, two: string, before: string): boolean {
  if (one === two) return true;
  let mayBeCut = before !== "" && isHalfOrReplaced(before.charCodeAt(0));
  for (let at = 0; at < one.length; at++) {
    const [a, b] = [one.charCodeAt(at), two.charCodeAt(at)];
    const isOfPair = isHalfOrReplaced(a) && isHalfOrReplaced(b);
    const isReplaced = a === REPLACEMENT || b === REPLACEMENT;
    if (a !== b && !(isReplaced && (isOfPair || mayBeCut))) return false;
    mayBeCut = isOfPair;
  }
  return true;
}

const isHalfOrReplaced = (unit: number) => unit === REPLACEMENT || isHalf(unit);

function isSameType(one: object, two: object): boolean {
  const name = (type: object) => {
    if (type instanceof Y.XmlElement) return type.nodeName;
    return type instanceof Y.XmlHook ? type.hookName : null;
  };
  return one.constructor === two.constructor && name(one) === name(two);
}

function valuesOf({ id, content }: Y.Item, from: number, to: number): unknown {
  if (content instanceof Y.ContentAny || content instanceof Y.ContentJSON) {
    return content.arr.slice(from - id.clock, to - id.clock);
  }
  if (content instanceof Y.ContentFormat) return [content.key, content.value];
  return content.getContent();
}
