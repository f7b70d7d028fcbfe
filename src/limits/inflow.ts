import { isPresence, isProbe } from "../sync/frames.ts";
import type { Limits } from "./limits.ts";

/** What one connection may send in advance, in seconds of its rate: what was written offline comes at once. */
const BURST_FRAMES_S = 5;
const BURST_BYTES_S = 16;

/** Of the frames that one may send, so many may be pings and pongs. Clients need one now and then. */
const CONTROL_SHARE = 0.1;

/** A limit that a connection has exceeded. */
export interface Excess {
  limit: keyof Limits;
  /** For the client to read. */
  reason: string;
  /** How long it has to pause to be below the limit again, in ms. */
  wait: number;
}

/**
 * Counts what comes in over one connection, by the generic cell rate algorithm: it needs but a number for
 * each rate, the time at which all of its budget will be there again.
 */
export class Inflow {
  #framesWholeAt = 0;
  #bytesWholeAt = 0;
  #controlWholeAt = 0;

  constructor(private readonly limits: Limits) {}

  /** Counts frames and bytes of any kind that have come at `now`, in ms. Returns what they exceed. */
  take(frames: number, bytes: number, now: number): Excess | null {
    const { messagesPerSecond, bytesPerSecond } = this.limits;
    this.#framesWholeAt = Math.max(now, this.#framesWholeAt) + 1_000 * frames / messagesPerSecond;
    this.#bytesWholeAt = Math.max(now, this.#bytesWholeAt) + 1_000 * bytes / bytesPerSecond;
    const framesWait = this.#framesWholeAt - now - BURST_FRAMES_S * 1_000;
    const bytesWait = this.#bytesWholeAt - now - BURST_BYTES_S * 1_000;
    if (Math.max(framesWait, bytesWait) <= 0) return null;
    return framesWait > bytesWait
      ? tooFast("messagesPerSecond", `${messagesPerSecond} messages`, framesWait)
      : tooFast("bytesPerSecond", `${bytesPerSecond} bytes`, bytesWait);
  }

  /** Counts a ping or a pong, of which nobody needs many. Returns what it exceeds. */
  takeControl(now: number): Excess | null {
    const perSecond = this.limits.messagesPerSecond * CONTROL_SHARE;
    this.#controlWholeAt = Math.max(now, this.#controlWholeAt) + 1_000 / perSecond;
    const wait = this.#controlWholeAt - now - BURST_FRAMES_S * 1_000;
    return wait > 0 ? tooFast("messagesPerSecond", `${perSecond} pings and pongs`, wait) : null;
  }

  /** What a whole message exceeds by its size. Coming back with it will not help. */
  tooLarge(message: Uint8Array): Excess | null {
    const limit = limitOf(message);
    if (message.length <= this.limits[limit]) return null;
    const reason = `a message of this kind has at most ${this.limits[limit]} bytes`;
    return { limit, reason, wait: Infinity };
  }
}

function limitOf(message: Uint8Array): "presenceBytes" | "probeBytes" | "messageBytes" {
  if (isPresence(message)) return "presenceBytes";
  return isProbe(message) ? "probeBytes" : "messageBytes";
}

function tooFast(limit: keyof Limits, most: string, wait: number): Excess {
  return { limit, reason: `slow down: ${most} a second are the most`, wait };
}
