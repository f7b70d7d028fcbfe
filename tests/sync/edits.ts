import * as fc from "fast-check";
import * as Y from "yjs";

/** What an author does to a document. */
export type Edit =
  | { does: "insert"; who: number; at: number; text: string }
  | { does: "delete"; who: number; at: number; length: number }
  | { does: "set"; who: number; key: string; at: number }
  | { does: "meet"; who: number; at: number };

const AUTHORS = 3;

const who = fc.nat(AUTHORS - 1);
const at = fc.nat(1_000);
/** Any of it. */
export const edit: fc.Arbitrary<Edit> = fc.oneof(
  fc.record({
    does: fc.constant("insert" as const),
    who,
    at,
    text: fc.string({ minLength: 1, unit: "grapheme" }),
  }),
  fc.record({ does: fc.constant("delete" as const), who, at, length: fc.nat(5) }),
  fc.record({ does: fc.constant("set" as const), who, key: fc.constantFrom("a", "b"), at }),
  fc.record({ does: fc.constant("meet" as const), who, at }),
);

/** Several authors edit at the same time, and meet now and then: what they wrote builds on each other's. */
export function write(edits: Edit[]): Y.Doc[] {
  const docs = Array.from({ length: AUTHORS }, (_, n) => {
    const doc = new Y.Doc();
    doc.clientID = n + 1;
    return doc;
  });
  for (const edit of edits) apply(docs, edit);
  return docs;
}

/** Does it to the document of its author. */
export function apply(docs: Y.Doc[], edit: Edit): void {
  const doc = docs[edit.who]!;
  const text = doc.getText("text");
  switch (edit.does) {
    case "insert":
      return text.insert(edit.at % (text.length + 1), edit.text);
    case "delete": {
      const start = edit.at % (text.length + 1);
      return text.delete(start, Math.min(edit.length, text.length - start));
    }
    case "set": {
      const nested = new Y.Array<number>();
      doc.getMap("map").set(edit.key, nested);
      return nested.push([edit.at]);
    }
    case "meet":
      return meet(doc, docs[edit.at % AUTHORS]!);
  }
}

/** Afterwards both have the same. */
export function meet(one: Y.Doc, two: Y.Doc): void {
  Y.applyUpdate(one, Y.encodeStateAsUpdate(two, Y.encodeStateVector(one)));
  Y.applyUpdate(two, Y.encodeStateAsUpdate(one, Y.encodeStateVector(two)));
}
