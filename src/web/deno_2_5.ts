/**
 * Deno 2.5, on which Deno Deploy runs at present, lacks a function that undici calls when it is loaded,
 * which comes along with `@atproto/identity`. To be imported before that; it does nothing elsewhere.
 *
 * @module
 */
import threads from "node:worker_threads";

// It would forbid to send an object to another thread, which nobody does here.
(threads as { markAsUncloneable?: (object: unknown) => void }).markAsUncloneable ??= () => {};
