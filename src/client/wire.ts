/**
 * The frames of y-protocols, one message a frame, and what the service adds to them: SPEC.md, "The wire".
 */
import * as decoding from "lib0/decoding";
import * as encoding from "lib0/encoding";

const SYNC = 0;
const AWARENESS = 1;
const AUTH = 2;
const QUERY_AWARENESS = 3;
const PROBE = 102;

const STEP_1 = 0;
const STEP_2 = 1;
const UPDATE = 2;

const DENIED = 0;
const ROLE = 1;

type Bytes = Uint8Array<ArrayBuffer>;

/** A message from the service. */
export type Message =
  | { type: "step1"; stateVector: Uint8Array }
  | { type: "step2" | "update"; update: Uint8Array }
  | { type: "awareness"; entries: Uint8Array }
  | { type: "queryAwareness" }
  | { type: "denied"; reason: string }
  | { type: "role"; role: string }
  | { type: "probe"; n: number };

/** Reads a frame. Null is what a later service may say. @throws {Error} it cannot be read */
export function readMessage(frame: Uint8Array): Message | null {
  const decoder = decoding.createDecoder(frame);
  switch (decoding.readVarUint(decoder)) {
    case SYNC:
      return readSync(decoder);
    case AWARENESS:
      return { type: "awareness", entries: decoding.readVarUint8Array(decoder) };
    case AUTH:
      return readAuth(decoder);
    case QUERY_AWARENESS:
      return { type: "queryAwareness" };
    case PROBE:
      return { type: "probe", n: decoding.readVarUint(decoder) };
    default:
      return null;
  }
}

function readSync(decoder: decoding.Decoder): Message | null {
  const kind = decoding.readVarUint(decoder);
  const payload = decoding.readVarUint8Array(decoder);
  if (kind === STEP_1) return { type: "step1", stateVector: payload };
  if (kind === STEP_2) return { type: "step2", update: payload };
  if (kind === UPDATE) return { type: "update", update: payload };
  return null;
}

function readAuth(decoder: decoding.Decoder): Message | null {
  const kind = decoding.readVarUint(decoder);
  if (kind === DENIED) return { type: "denied", reason: decoding.readVarString(decoder) };
  if (kind === ROLE) return { type: "role", role: decoding.readVarString(decoder) };
  return null;
}

/** "This is what I have; send me what I lack." */
export const step1Frame = (stateVector: Uint8Array): Bytes => syncFrame(STEP_1, stateVector);

/** The last of the answer to step 1. */
export const step2Frame = (update: Uint8Array): Bytes => syncFrame(STEP_2, update);

/** An edit, or a part of the answer to step 1 that is not the last. */
export const updateFrame = (update: Uint8Array): Bytes => syncFrame(UPDATE, update);

/** "Send this back once everything that I sent before it is durable." */
export function probeFrame(n: number): Bytes {
  return encode((encoder) => {
    encoding.writeVarUint(encoder, PROBE);
    encoding.writeVarUint(encoder, n);
  });
}

/** Who is here. */
export function awarenessFrame(entries: Uint8Array): Bytes {
  return encode((encoder) => {
    encoding.writeVarUint(encoder, AWARENESS);
    encoding.writeVarUint8Array(encoder, entries);
  });
}

function syncFrame(kind: number, payload: Uint8Array): Bytes {
  return encode((encoder) => {
    encoding.writeVarUint(encoder, SYNC);
    encoding.writeVarUint(encoder, kind);
    encoding.writeVarUint8Array(encoder, payload);
  });
}

function encode(write: (encoder: encoding.Encoder) => void): Bytes {
  return encoding.encode(write) as Bytes;
}
