import * as decoding from "lib0/decoding";
import * as encoding from "lib0/encoding";

/** How a server wants y-protocols' messages on its sockets. */
export interface Dialect {
  /** What a client says before anything else. */
  hello(room: string): Uint8Array[];
  wrap(room: string, message: Uint8Array): Uint8Array;
  unwrap(frame: Uint8Array): Uint8Array;
  /** It answers step 1, so a client can tell when it has joined. */
  syncs: boolean;
}

/** One message a frame and nothing else, as y-websocket and Tessera speak. */
export const plain: Dialect = {
  hello: () => [],
  wrap: (_room, message) => message,
  unwrap: (frame) => frame,
  syncs: true,
};

/** The same, to a server that understands none of it. */
export const relayed: Dialect = { ...plain, syncs: false };

const AUTH = 2;
const TOKEN = 0;

/** hocuspocus puts the document's name before each message, and wants a token first, any by default. */
export const hocuspocus: Dialect = {
  hello: (room) => [
    encoding.encode((encoder) => {
      encoding.writeVarString(encoder, room);
      encoding.writeVarUint(encoder, AUTH);
      encoding.writeVarUint(encoder, TOKEN);
      encoding.writeVarString(encoder, "a token");
    }),
  ],
  wrap: (room, message) =>
    encoding.encode((encoder) => {
      encoding.writeVarString(encoder, room);
      encoding.writeUint8Array(encoder, message);
    }),
  unwrap: (frame) => {
    const decoder = decoding.createDecoder(frame);
    const nameLength = decoding.readVarUint(decoder);
    return frame.subarray(decoder.pos + nameLength);
  },
  syncs: true,
};
