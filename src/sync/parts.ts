import type { Clock } from "../clock.ts";
import { type Document, readStateVector, writeStateVector } from "./document.ts";
import { step2AsUpdate, step2Frame, updateFrame } from "./frames.ts";

/** How long a part is kept for who comes next, in ms: a crowd comes within seconds. */
const KEPT_MS = 5_000;

/** A crowd of one speed needs the few parts that it is at; no crowd may keep more than this of a room. */
const KEPT_BYTES = 16 * 1024 * 1024;

/** Smaller ones are cheaper to make than to keep. */
const WORTH_KEEPING = 16 * 1024;

/** A part of the document, as it is sent to who has all before it: many may be sent the same one. */
export interface Part {
  frame: Uint8Array;
  /** The state vector of who has it. */
  reaches: Uint8Array;
  /** The version of the document that one has with it; null when there is more to come. */
  completes: number | null;
}

/** The parts of a room's document, for whoever lacks them: a crowd costs one encoding. */
export class Parts {
  /** By the state vector of who lacks it; the oldest first. */
  readonly #kept = new Map<string, { part: Part; until: number }>();
  #bytes = 0;

  constructor(private readonly clock: Clock) {}

  /**
   * The next part for a peer with this state vector. One that was made a while ago will do: whoever
   * gets it is then sent what has come since.
   */
  next(document: Document, version: number, from: Uint8Array): Part {
    const key = from.toBase64();
    const known = this.#kept.get(key);
    if (known !== undefined) {
      known.part = upToDate(known.part, version);
      return known.part;
    }
    const { update, reaches, last } = document.nextPiece(readStateVector(from));
    const part = {
      // With step 2 a client believes that it is synced: so that comes last.
      frame: last ? step2Frame(update) : updateFrame(update),
      reaches: writeStateVector(reaches),
      completes: last ? version : null,
    };
    if (update.length >= WORTH_KEEPING) this.#keep(key, part);
    return part;
  }

  /** To be called every few seconds. */
  forgetOld(): void {
    const now = this.clock.uptime();
    for (const [key, { until }] of this.#kept) if (until <= now) this.#forget(key);
  }

  #keep(key: string, part: Part): void {
    this.#kept.set(key, { part, until: this.clock.uptime() + KEPT_MS });
    this.#bytes += bytesOf(key, part);
    for (const oldest of this.#kept.keys()) {
      if (this.#bytes <= KEPT_BYTES || oldest === key) return;
      this.#forget(oldest);
    }
  }

  #forget(key: string): void {
    this.#bytes -= bytesOf(key, this.#kept.get(key)!.part);
    this.#kept.delete(key);
  }
}

/** What it takes to keep a part. */
function bytesOf(key: string, { frame, reaches }: Part): number {
  return key.length + frame.length + reaches.length;
}

/** A part as it is at this version: what was the last one, and is kept, is so no longer. */
function upToDate(part: Part, version: number): Part {
  if (part.completes === null || part.completes === version) return part;
  return { ...part, frame: step2AsUpdate(part.frame), completes: null };
}
