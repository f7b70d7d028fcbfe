/** What a provider takes from its surroundings, so that a test can own them. */
export interface World {
  /** Milliseconds since whenever. It never goes back. */
  uptime(): number;
  /** Calls `callback` once, `ms` milliseconds from now. Returns a function that cancels the call. */
  after(ms: number, callback: () => void): () => void;
  /** From 0 up to, and not including, 1. */
  random(): number;
  /** What opens a line. @throws {TypeError} there is none */
  readonly WebSocket: typeof WebSocket;
  /** Tells a developer something that nobody listens to. */
  warn(words: string): void;
  /** Tells what becomes of the network, and of whoever looks. Returns a function that ends it. */
  watch(onSign: (sign: Sign) => void): () => void;
}

/** The network has come back or gone, or somebody looks at the page again. */
export type Sign = "online" | "offline" | "visible";

/** A browser, Deno or Node as it is. Where nobody tells of the network, time alone does. */
export const thisWorld: World = {
  uptime: () => performance.now(),
  after(ms, callback) {
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  },
  random: () => Math.random(),
  warn: (words) => console.warn(words),
  get WebSocket() {
    const { WebSocket } = globalThis;
    if (WebSocket === undefined) {
      throw new TypeError("There is no WebSocket here. Node has one from 22 on.");
    }
    return WebSocket;
  },
  watch(onSign) {
    const stop = new AbortController();
    const { signal } = stop;
    const page = (globalThis as { document?: EventTarget & { visibilityState: string } }).document;
    const look = () => page!.visibilityState === "visible" && onSign("visible");
    page?.addEventListener("visibilitychange", look, { signal });
    if ("addEventListener" in globalThis) {
      globalThis.addEventListener("online", () => onSign("online"), { signal });
      globalThis.addEventListener("offline", () => onSign("offline"), { signal });
      globalThis.addEventListener("focus", () => onSign("visible"), { signal });
    }
    return () => stop.abort();
  },
};
