import { LookupFailure, timedOut, unreachable, unusable } from "./lookup_failure.ts";

/** How much of other people's answers is read. */
export interface Bounds {
  /** The most bytes of an answer. */
  size: number;
  /** Milliseconds for a whole request, from DNS to the last byte. */
  time: number;
}

/**
 * Turns an answer into a response that is read to its end: 200 with the body, or, with no body and
 * none read, 404 when there is no such thing (any more: 410).
 * @throws {LookupFailure} when the answer is neither
 */
export async function readAnswer(
  host: string,
  status: number,
  body: AsyncIterable<Uint8Array>,
  size: number,
): Promise<Response> {
  if (status === 200) return new Response(await readBody(host, body, size));
  if (status === 404 || status === 410) return new Response(null, { status: 404 });
  const why = `it has status ${status}`;
  // 429 says as little as a 5xx does.
  throw status >= 500 || status === 429 ? unreachable(host, new Error(why)) : unusable(host, why);
}

/** A failure that says what it is, whatever `error` was. */
export function failureOf(host: string, error: unknown, signal: AbortSignal): LookupFailure {
  if (error instanceof LookupFailure) return error;
  return signal.aborted ? timedOut(host) : unreachable(host, error);
}

/** An answer over so many bytes. */
export function tooLarge(host: string, size: number): LookupFailure {
  return unusable(host, `it is larger than ${size / 1024} KB`);
}

async function readBody(
  host: string,
  body: AsyncIterable<Uint8Array>,
  most: number,
): Promise<Blob> {
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > most) throw tooLarge(host, most);
    chunks.push(new Uint8Array(chunk));
  }
  return new Blob(chunks);
}
