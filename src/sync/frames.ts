/**
 * The frames of y-protocols, one message a frame, as stock `y-websocket` speaks them:
 * https://github.com/yjs/y-protocols/blob/master/PROTOCOL.md
 */
import { createDecoder, type Decoder, hasContent } from "lib0/decoding";
import * as encoding from "lib0/encoding";
import { MalformedNumberError, readBytes, readUint } from "./varint.ts";

const SYNC = 0;
const AWARENESS = 1;
const AUTH = 2;
const QUERY_AWARENESS = 3;
/** Not y-protocols': a probe that is echoed once everything before it on the connection is durable. */
const SYNC_STATUS = 102;

const STEP_1 = 0;
const STEP_2 = 1;
const UPDATE = 2;

const DENIED = 0;
/** Not y-protocols': clients that do not know it pass it over. */
const ROLE = 1;

/** A message from a peer. */
export type Frame =
  | { type: "step1"; stateVector: Uint8Array }
  | { type: "step2"; update: Uint8Array }
  | { type: "update"; update: Uint8Array }
  | { type: "awareness"; entries: Uint8Array }
  | { type: "queryAwareness" }
  | { type: "syncStatus"; echo: Uint8Array };

/** Whether a frame says who is there. */
export const isPresence = (bytes: Uint8Array): boolean => bytes[0] === AWARENESS;

/** Whether a frame is a probe. */
export const isProbe = (bytes: Uint8Array): boolean => bytes[0] === SYNC_STATUS;

/** A frame that is not in the protocol. The message says why, for the peer that sent it. */
export class BadFrameError extends Error {
  override readonly name = "BadFrameError";
}

/** @throws {BadFrameError} */
export function readFrame(bytes: Uint8Array): Frame {
  try {
    const decoder = createDecoder(bytes);
    const frame = readMessage(decoder, bytes);
    if (frame.type !== "syncStatus" && hasContent(decoder)) {
      throw new BadFrameError("bytes after the end of the message");
    }
    return frame;
  } catch (error) {
    if (!(error instanceof MalformedNumberError)) throw error;
    throw new BadFrameError(`The frame cannot be read: ${error.message}.`);
  }
}

function readMessage(decoder: Decoder, bytes: Uint8Array): Frame {
  const type = readUint(decoder);
  switch (type) {
    case SYNC:
      return readSync(decoder);
    case AWARENESS:
      return { type: "awareness", entries: readBytes(decoder) };
    case QUERY_AWARENESS:
      return { type: "queryAwareness" };
    case SYNC_STATUS:
      return { type: "syncStatus", echo: bytes };
    default:
      throw new BadFrameError(`unknown message type ${type}`);
  }
}

function readSync(decoder: Decoder): Frame {
  const step = readUint(decoder);
  const payload = readBytes(decoder);
  switch (step) {
    case STEP_1:
      return { type: "step1", stateVector: payload };
    case STEP_2:
      return { type: "step2", update: payload };
    case UPDATE:
      return { type: "update", update: payload };
    default:
      throw new BadFrameError(`unknown sync step ${step}`);
  }
}

/** "This is what I have; send me what I lack." */
export const step1Frame = (stateVector: Uint8Array): Uint8Array => syncFrame(STEP_1, stateVector);

/** The answer to step 1. */
export const step2Frame = (update: Uint8Array): Uint8Array => syncFrame(STEP_2, update);

/** An edit. */
export const updateFrame = (update: Uint8Array): Uint8Array => syncFrame(UPDATE, update);

/** A step 2 as a mere edit: there is more to come, and who gets it is not to think otherwise. */
export function step2AsUpdate(frame: Uint8Array): Uint8Array {
  const update = frame.slice();
  update[1] = UPDATE;
  return update;
}

/** "You may not do that": https://github.com/yjs/y-protocols/blob/master/auth.js. */
export const deniedFrame = (reason: string): Uint8Array => authFrame(DENIED, reason);

/** "This is what you may do from now on." */
export const roleFrame = (role: string): Uint8Array => authFrame(ROLE, role);

function authFrame(kind: number, text: string): Uint8Array {
  return encoding.encode((encoder) => {
    encoding.writeVarUint(encoder, AUTH);
    encoding.writeVarUint(encoder, kind);
    encoding.writeVarString(encoder, text);
  });
}

/** Who is there. */
export function awarenessFrame(entries: Uint8Array): Uint8Array {
  return encoding.encode((encoder) => {
    encoding.writeVarUint(encoder, AWARENESS);
    encoding.writeVarUint8Array(encoder, entries);
  });
}

/** "Tell me who is there on your side." */
export function queryAwarenessFrame(): Uint8Array {
  return new Uint8Array([QUERY_AWARENESS]);
}

function syncFrame(step: number, payload: Uint8Array): Uint8Array {
  return encoding.encode((encoder) => {
    encoding.writeVarUint(encoder, SYNC);
    encoding.writeVarUint(encoder, step);
    encoding.writeVarUint8Array(encoder, payload);
  });
}
