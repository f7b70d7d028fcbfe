import { BUDGET_BYTES, type Outbox } from "./outbox.ts";
import type { Part } from "./parts.ts";

/**
 * What one peer is still to be sent of the document. While it keeps up it is sent every update as it
 * comes. When its buffer is full it is sent nothing, until that has drained; then it gets one
 * difference from where it was. A large document goes out in the same way, piece by piece.
 */
export class Delivery {
  #hasAsked = false;
  /** What it has, or will once its buffer has drained; null when it is sent updates as they come. */
  #at: { stateVector: Uint8Array; version: number | null } | null = null;
  /** The size of the next part, if the buffer had no room for it. */
  #needed = 0;

  constructor(private readonly outbox: Outbox) {}

  /**
   * The peer has the document, keeps up, and is to be sent updates as they come. Before it has asked for
   * the document, one may build on what it lacks; if its line broke then it would wait for that for ever.
   */
  get live(): boolean {
    return this.#hasAsked && !this.behind;
  }

  /** Bytes that are kept to know where the peer is. */
  get held(): number {
    return this.#at?.stateVector.length ?? 0;
  }

  /** There is more to be sent. */
  get behind(): boolean {
    return this.#at !== null;
  }

  /**
   * From now on the peer is behind: what it has is this, of that version of the document if it is
   * whole.
   */
  begin(stateVector: Uint8Array, version: number | null): void {
    this.#hasAsked = true;
    this.#at = { stateVector, version };
    this.#needed = 0;
  }

  /**
   * Sends what `next` gives, as the peer's pace allows and as long as there is time. Returns whether the peer is `live` again: it
   * has this version of the document, and its buffer has drained.
   */
  goOn(
    version: number,
    next: (stateVector: Uint8Array) => Part,
    isTime: () => boolean,
  ): boolean {
    const at = this.#at;
    if (at === null) return true;
    while (at.version !== version && this.outbox.hasRoom(this.#needed) && isTime()) {
      const part = next(at.stateVector);
      this.#needed = part.frame.length;
      if (!this.outbox.hasRoom(this.#needed)) return false;
      this.#needed = 0;
      this.outbox.send(part.frame);
      at.stateVector = part.reaches;
      at.version = part.completes;
    }
    if (at.version !== version || this.outbox.buffered > BUDGET_BYTES / 2) return false;
    this.#at = null;
    return true;
  }
}
