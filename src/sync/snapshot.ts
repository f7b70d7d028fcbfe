import * as encoding from "lib0/encoding";
import * as Y from "yjs";
import { deletionsOf } from "@tessera/client/pieces";

/** After so many structs it is somebody else's turn: about 3 ms. */
const TURN_STRUCTS = 16_384;

/**
 * The whole document as one update, as `Y.encodeStateAsUpdate` makes it; now and then one may do
 * something else in between, but not change the document.
 */
export function* snapshotInSteps(doc: Y.Doc): Generator<undefined, Uint8Array, undefined> {
  const encoder = new Y.UpdateEncoderV1();
  const { restEncoder } = encoder;
  let turnIn = TURN_STRUCTS;
  // The higher client ids first: conflicts between neighbours are settled sooner then, says Yjs.
  const authors = [...doc.store.clients].sort(([a], [b]) => b - a);
  encoding.writeVarUint(restEncoder, authors.length);
  for (const [client, structs] of authors) {
    encoding.writeVarUint(restEncoder, structs.length);
    encoding.writeVarUint(restEncoder, client);
    encoding.writeVarUint(restEncoder, 0);
    for (const struct of structs) {
      struct.write(encoder, 0);
      if (--turnIn > 0) continue;
      turnIn = TURN_STRUCTS;
      yield;
    }
  }
  encoding.writeUint8Array(restEncoder, deletionsOf(doc));
  return encoder.toUint8Array();
}
