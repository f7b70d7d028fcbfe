import type { Peer } from "./peer.ts";

/**
 * How many bytes may wait in a connection's buffer, before the peer is given time. A slow peer costs
 * this much and no more; a fast one empties it many times a second.
 */
const BUDGET = 1024 * 1024;

/** A peer that takes nothing at all for this long, in ms, is cut off: a phone in a tunnel comes back sooner. */
const PATIENCE = 30_000;

/** A part of the document, in frames: many peers may be sent the same one. */
export interface Encoded {
  frames: Uint8Array[];
  /** The state vector of who has got them all. */
  stateVector: Uint8Array;
  /** The version of the document that they bring a peer to. */
  version: number;
}

/**
 * What one peer is still to be sent of the document. While it keeps up it is sent every update as it
 * comes. When its buffer is full it is sent nothing, until that has drained; then it gets one
 * difference from where it was. A large document goes out in the same way, piece by piece.
 */
export class Delivery {
  #sending: Encoded | null = null;
  #hasAsked = false;
  #next = 0;
  #buffered = 0;
  #movedAt = 0;

  constructor(private readonly peer: Peer) {}

  /**
   * The peer has the document, keeps up, and is to be sent updates as they come. Before it has asked for
   * the document, one may build on what it lacks; if its line broke then it would wait for that for ever.
   */
  get live(): boolean {
    return this.#hasAsked && !this.behind;
  }

  /** There is more to be sent. */
  get behind(): boolean {
    return this.#sending !== null;
  }

  /** The peer's buffer has no room. */
  get full(): boolean {
    return this.peer.buffered > BUDGET;
  }

  /** Sends these frames, as the peer's pace allows. */
  begin(encoded: Encoded, now: number): void {
    this.#hasAsked = true;
    this.#sending = encoded;
    this.#next = 0;
    this.#movedAt = now;
  }

  /** From now on the peer is behind: what it has is this. */
  fallBehind(stateVector: Uint8Array, version: number, now: number): void {
    this.begin({ frames: [], stateVector, version }, now);
  }

  /**
   * Goes on sending. Returns what to do next: `wait` and go on later; `cut` the peer off, which takes
   * nothing; or, when all is sent, the state vector and version that the peer has now.
   */
  goOn(now: number): "wait" | "cut" | Encoded {
    const sending = this.#sending!;
    const { buffered } = this.peer;
    if (buffered < this.#buffered || buffered === 0) this.#movedAt = now;
    while (this.#next < sending.frames.length && !this.full) {
      this.peer.send(sending.frames[this.#next++]!);
      this.#movedAt = now;
    }
    this.#buffered = this.peer.buffered;
    if (now - this.#movedAt > PATIENCE) return "cut";
    if (this.#next < sending.frames.length || this.#buffered > BUDGET / 2) return "wait";
    return sending;
  }

  /** The peer has all there is. */
  finish(): void {
    this.#sending = null;
  }
}
