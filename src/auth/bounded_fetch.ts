import type { Fetch } from "@atproto/identity";
import { LookupFailure, timedOut, unreachable, unusable } from "./lookup_failure.ts";

/**
 * Milliseconds for a whole look-up, from DNS to the last byte. The directory answers within 300 ms;
 * a socket's handshake waits for this, and its user with it.
 */
export const LOOKUP_TIMEOUT = 3_000;

/**
 * The most bytes of a DID document. A usual one has 1 KB, a PLC operation may have 7.5 KB, and a Deno
 * KV value may have 64 KB with all that is around it.
 */
export const MAX_DOCUMENT = 48 * 1024;

/** An ordinary fetch, for origins that we chose ourselves, that reads a bounded answer to its end. */
export const boundedFetch: Fetch = async (input, init) => {
  const signal = init?.signal ?? AbortSignal.timeout(LOOKUP_TIMEOUT);
  try {
    const response = await fetch(input, { ...init, signal, redirect: "error" });
    if (response.status !== 200) await response.body?.cancel();
    return await readAnswer(response.status, response.body ?? empty());
  } catch (error) {
    if (error instanceof LookupFailure) throw error;
    throw signal.aborted ? timedOut() : unreachable(error);
  }
};

/**
 * Turns an answer to a look-up into a response that is read to its end: 200 with the document, or,
 * with no body and none read, 404 when there is no such DID (a 410 is the directory's word for a DID that is no more).
 *
 * @throws {LookupFailure} when the answer is neither.
 */
export async function readAnswer(
  status: number,
  body: AsyncIterable<Uint8Array>,
): Promise<Response> {
  if (status === 200) return new Response(await readBody(body));
  if (status === 404 || status === 410) return new Response(null, { status: 404 });
  const why = `its host answered with status ${status}`;
  // 429 says as little about the DID as a 5xx does.
  throw status >= 500 || status === 429 ? unreachable(new Error(why)) : unusable(why);
}

async function readBody(body: AsyncIterable<Uint8Array>): Promise<Blob> {
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > MAX_DOCUMENT) throw tooLarge();
    chunks.push(new Uint8Array(chunk));
  }
  return new Blob(chunks);
}

/** A document over {@linkcode MAX_DOCUMENT}. */
export function tooLarge(): LookupFailure {
  return unusable(`it is larger than ${MAX_DOCUMENT / 1024} KB`);
}

async function* empty(): AsyncIterable<Uint8Array> {}
