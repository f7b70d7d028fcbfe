/** What a client of the service has to know beside what y-websocket knows: SPEC.md, "The wire". */
import * as decoding from "lib0/decoding";
import * as encoding from "lib0/encoding";
import { messageYjsSyncStep1, writeSyncStep1 } from "y-protocols/sync";
import type { Doc } from "yjs";

/** Types of messages. */
export const SYNC = 0;
export const AUTH = 2;
export const PROBE = 102;

/** Kinds of messages about what one may do. */
const DENIED = 0;
const ROLE = 1;

/** "Send this back once all that I sent before it is durable." */
export function probeFrame(n: number): Uint8Array<ArrayBuffer> {
  return encode((encoder) => {
    encoding.writeVarUint(encoder, PROBE);
    encoding.writeVarUint(encoder, n);
  });
}

/** "This is what I have; send me what I lack." */
export function step1Frame(doc: Doc): Uint8Array<ArrayBuffer> {
  return encode((encoder) => {
    encoding.writeVarUint(encoder, SYNC);
    writeSyncStep1(encoder, doc);
  });
}

function encode(write: (encoder: encoding.Encoder) => void): Uint8Array<ArrayBuffer> {
  return encoding.encode(write) as Uint8Array<ArrayBuffer>;
}

/** What the service says about what one may do: that something was refused, or one's role from now on. */
export type Auth = { denied: string } | { role: string };

/** Reads it, after its type. Null is what a later service might say. */
export function readAuth(decoder: decoding.Decoder): Auth | null {
  const kind = decoding.readVarUint(decoder);
  if (kind === DENIED) return { denied: decoding.readVarString(decoder) };
  if (kind === ROLE) return { role: decoding.readVarString(decoder) };
  return null;
}

/** Whether a message about the document is step 1. It is still to be read. */
export function asksForMore(decoder: decoding.Decoder): boolean {
  return decoding.peekVarUint(decoder) === messageYjsSyncStep1;
}
