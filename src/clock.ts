import { setImmediate } from "node:timers";

/** The only source of time below `main.ts`, so that a test or a simulation can own it. */
export interface Clock {
  /** Milliseconds since the Unix epoch. Somebody may set it, also back: good for what is written down. */
  now(): number;
  /** Milliseconds since whenever. It never goes back: good for how long something has taken. */
  uptime(): number;
  /** Calls `callback` once, `ms` milliseconds from now. Returns a function that cancels the call. */
  after(ms: number, callback: () => void): () => void;
  /** Resolves once all that has arrived from outside by now has been handed over. */
  turn(): Promise<void>;
}

/** The clock on the wall. */
export const systemClock: Clock = {
  now: () => Date.now(),
  uptime: () => performance.now(),
  after(ms, callback) {
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  },
  // The event loop looks after input and output before it comes to these.
  turn: () => new Promise((resolve) => setImmediate(resolve)),
};
