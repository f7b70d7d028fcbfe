import type { Part } from "./parts.ts";
import type { Peer } from "./peer.ts";
import type { StateVector } from "./pieces.ts";

/**
 * How many bytes may wait in a connection's buffer, before the peer is given time. A slow peer costs
 * this much and no more; a fast one empties it many times a second.
 */
const BUDGET = 1024 * 1024;

/** A peer that takes nothing at all for this long, in ms, is cut off: a phone in a tunnel comes back sooner. */
const PATIENCE = 30_000;

/**
 * What one peer is still to be sent of the document. While it keeps up it is sent every update as it
 * comes. When its buffer is full it is sent nothing, until that has drained; then it gets one
 * difference from where it was. A large document goes out in the same way, piece by piece.
 */
export class Delivery {
  #hasAsked = false;
  /** What it has, or will once its buffer has drained; null when it is sent updates as they come. */
  #at: { stateVector: StateVector; version: number | null } | null = null;
  #buffered = 0;
  #movedAt = 0;

  constructor(private readonly line: Pick<Peer, "buffered" | "send">) {}

  /**
   * The peer has the document, keeps up, and is to be sent updates as they come. Before it has asked for
   * the document, one may build on what it lacks; if its line broke then it would wait for that for ever.
   */
  get live(): boolean {
    return this.#hasAsked && !this.behind;
  }

  /** There is more to be sent. */
  get behind(): boolean {
    return this.#at !== null;
  }

  /** The peer's buffer has no room. */
  get full(): boolean {
    return this.line.buffered > BUDGET;
  }

  /**
   * From now on the peer is behind: what it has is this, of that version of the document if it is
   * whole.
   */
  begin(stateVector: StateVector, version: number | null, now: number): void {
    this.#hasAsked = true;
    this.#at = { stateVector, version };
    this.#movedAt = now;
  }

  /**
   * Sends what `next` gives, as the peer's pace allows, until it has this version of the document and
   * its buffer has drained. Returns whether to go on later (`wait`), to `cut` off a peer that takes
   * nothing, or that it is `live` again.
   */
  goOn(
    now: number,
    version: number,
    next: (stateVector: StateVector) => Part,
  ): "wait" | "cut" | "live" {
    const at = this.#at!;
    const { buffered } = this.line;
    if (buffered < this.#buffered || buffered === 0) this.#movedAt = now;
    while (at.version !== version && !this.full) {
      const part = next(at.stateVector);
      this.line.send(part.frame);
      at.stateVector = part.reaches;
      at.version = part.completes;
      this.#movedAt = now;
    }
    this.#buffered = this.line.buffered;
    if (now - this.#movedAt > PATIENCE) return "cut";
    if (at.version !== version || this.#buffered > BUDGET / 2) return "wait";
    this.#at = null;
    return "live";
  }
}
