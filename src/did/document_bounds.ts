import type { Bounds } from "../web/answer.ts";

/**
 * A usual document has 1 KB, a PLC operation may have 7.5 KB, and a Deno KV value may have 64 KB with
 * all that is around it. The directory answers within 300 ms; a socket's handshake waits for it, and
 * its user with it.
 */
export const DOCUMENT_BOUNDS: Bounds = { size: 48 * 1024, time: 3_000 };
