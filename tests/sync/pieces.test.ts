import { assert, assertEquals } from "@std/assert";
import * as fc from "fast-check";
import * as Y from "yjs";
import { nextPiece, type Piece } from "../../src/sync/pieces.ts";

type Edit =
  | { does: "insert"; who: number; at: number; text: string }
  | { does: "delete"; who: number; at: number; length: number }
  | { does: "set"; who: number; key: string; at: number }
  | { does: "meet"; who: number; at: number };

const AUTHORS = 3;

const who = fc.nat(AUTHORS - 1);
const at = fc.nat(1_000);
const edit: fc.Arbitrary<Edit> = fc.oneof(
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
function write(edits: Edit[]): Y.Doc[] {
  const docs = Array.from({ length: AUTHORS }, (_, n) => {
    const doc = new Y.Doc();
    doc.clientID = n + 1;
    return doc;
  });
  for (const edit of edits) apply(docs, edit);
  return docs;
}

function apply(docs: Y.Doc[], edit: Edit): void {
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

function meet(one: Y.Doc, two: Y.Doc): void {
  Y.applyUpdate(one, Y.encodeStateAsUpdate(two, Y.encodeStateVector(one)));
  Y.applyUpdate(two, Y.encodeStateAsUpdate(one, Y.encodeStateVector(two)));
}

Deno.test("R14: pieces apply one after the other, whatever was written, and bring all that was lacking", () => {
  fc.assert(
    fc.property(
      fc.array(edit, { maxLength: 60 }),
      fc.array(edit, { maxLength: 20 }),
      fc.constantFrom(1, 20, 200),
      (before, after, size) => {
        const docs = write(before);
        const [doc] = docs;
        for (const other of docs) meet(doc!, other);
        const peer = new Y.Doc();
        Y.applyUpdate(peer, Y.encodeStateAsUpdate(doc!));
        for (const edit of after) apply(docs, edit);
        for (const other of docs) meet(doc!, other);

        for (const start of [peer, new Y.Doc()]) {
          let piece: Piece;
          let reaches = Y.decodeStateVector(Y.encodeStateVector(start));
          do {
            piece = nextPiece(doc!, reaches, size);
            ({ reaches } = piece);
            Y.applyUpdate(start, piece.update);
            assert(start.store.pendingStructs === null && start.store.pendingDs === null);
            assertEquals(Y.encodeStateVector(reaches), Y.encodeStateVector(start));
          } while (!piece.last);
          assertEquals(Y.encodeStateVector(start), Y.encodeStateVector(doc!));
          assertEquals(start.getText("text").toString(), doc!.getText("text").toString());
          assertEquals(start.getMap("map").toJSON(), doc!.getMap("map").toJSON());
        }
      },
    ),
    { numRuns: 300 },
  );
});
