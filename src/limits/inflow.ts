import { Close } from "../sync/close.ts";
import { isPresence, isProbe } from "../sync/frames.ts";
import type { Limits } from "./limits.ts";

/** What one connection may send in advance, in seconds of its rate: what was written offline comes at once. */
const BURST_MESSAGES_S = 5;
const BURST_BYTES_S = 16;

/** Why a connection is to be closed. */
export interface Excess {
  limit: keyof Limits;
  code: number;
  reason: string;
}

/**
 * What comes in over one connection, counted by the generic cell rate algorithm: it needs but a number
 * for each rate, the time at which all of its budget will be there again.
 */
export class Inflow {
  #messagesWholeAt = 0;
  #bytesWholeAt = 0;

  constructor(private readonly limits: Limits) {}

  /** Counts a frame that has come at `now`, in ms. Returns null, or what it is too much of. */
  take(frame: Uint8Array, now: number): Excess | null {
    const { messagesPerSecond, bytesPerSecond } = this.limits;
    const limit = limitOf(frame);
    if (frame.length > this.limits[limit]) {
      const reason = `a message of this kind has at most ${this.limits[limit]} bytes`;
      return { limit, code: Close.TOO_BIG, reason };
    }
    this.#messagesWholeAt = Math.max(now, this.#messagesWholeAt) + 1_000 / messagesPerSecond;
    if (this.#messagesWholeAt - now > BURST_MESSAGES_S * 1_000) {
      return slowDown("messagesPerSecond", `${messagesPerSecond} messages`);
    }
    this.#bytesWholeAt = Math.max(now, this.#bytesWholeAt) + 1_000 * frame.length / bytesPerSecond;
    if (this.#bytesWholeAt - now > BURST_BYTES_S * 1_000) {
      return slowDown("bytesPerSecond", `${bytesPerSecond} bytes`);
    }
    return null;
  }
}

function limitOf(frame: Uint8Array): "presenceBytes" | "probeBytes" | "messageBytes" {
  if (isPresence(frame)) return "presenceBytes";
  return isProbe(frame) ? "probeBytes" : "messageBytes";
}

function slowDown(limit: keyof Limits, most: string): Excess {
  return { limit, code: Close.SLOW_DOWN, reason: `slow down: ${most} a second are the most` };
}
