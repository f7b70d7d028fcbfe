/** The messages that the clients here send, in y-protocols' form. */
import * as encoding from "lib0/encoding";

export const SYNC = 0;
export const STEP_1 = 0;

/** Yjs draws client ids from 32 bits, so nearly all of them take five bytes on the wire. */
export const FIRST_WRITER = 0x4000_0000;

const STEP_2 = 1;
const UPDATE = 2;

/** Each as a text of Yjs is written by hand: a piece with an origin, or the first of the text. */
const STRING_AFTER = 0x84;
const STRING_FIRST = 0x04;

/** "This is what I have; send me what I lack." Each writer's name with how far its text is known. */
export function step1(known: ReadonlyMap<number, number>): Uint8Array {
  const stateVector = encoding.encode((encoder) => {
    encoding.writeVarUint(encoder, known.size);
    for (const [writer, clock] of known) {
      encoding.writeVarUint(encoder, writer);
      encoding.writeVarUint(encoder, clock);
    }
  });
  return sync(STEP_1, stateVector);
}

/** "I have nothing that you lack": no structs, no deletions. */
export const EMPTY_STEP_2: Uint8Array = sync(STEP_2, new Uint8Array([0, 0]));

/** An edit. */
export function update(bytes: Uint8Array): Uint8Array {
  return sync(UPDATE, bytes);
}

/** The edit by which `writer` puts its character number `clock` behind the one before it. */
export function keystroke(writer: number, clock: number): Uint8Array {
  return update(encoding.encode((encoder) => {
    for (const n of [1, 1, writer, clock]) encoding.writeVarUint(encoder, n); // one client, one struct
    if (clock > 0) {
      encoding.writeUint8(encoder, STRING_AFTER);
      encoding.writeVarUint(encoder, writer);
      encoding.writeVarUint(encoder, clock - 1);
    } else {
      encoding.writeUint8(encoder, STRING_FIRST);
      encoding.writeVarUint(encoder, 1); // the parent is a root type, of this name
      encoding.writeVarString(encoder, "text");
    }
    encoding.writeVarString(encoder, "x");
    encoding.writeVarUint(encoder, 0); // nothing deleted
  }));
}

function sync(step: number, payload: Uint8Array): Uint8Array {
  return encoding.encode((encoder) => {
    encoding.writeVarUint(encoder, SYNC);
    encoding.writeVarUint(encoder, step);
    encoding.writeVarUint8Array(encoder, payload);
  });
}
