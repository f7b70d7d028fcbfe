import { assert, assertEquals } from "@std/assert";
import * as fc from "fast-check";
import * as Y from "yjs";
import { nextPiece, type Piece } from "../../src/client/pieces.ts";
import { snapshotInSteps } from "../../src/sync/snapshot.ts";
import { apply, edit, meet, write } from "./edits.ts";

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

Deno.test("R10: a snapshot that is made in steps is, to the byte, the one that Yjs makes", () => {
  fc.assert(
    fc.property(fc.array(edit, { maxLength: 60 }), (edits) => {
      const docs = write(edits);
      const [doc] = docs as [Y.Doc];
      for (const other of docs) meet(doc, other);
      assertEquals(snapshotInSteps(doc).next().value, Y.encodeStateAsUpdate(doc));
    }),
  );
});
