import type { Clock } from "../clock.ts";
import { Refusal } from "../refusal.ts";
import type { IncomingRequest } from "../transport/transport.ts";

/** Our largest input is a room's name and a DID; 16 KiB is far beyond that, even if all of it is escaped. */
const MAX_BYTES = 16 * 1024;

/** The longest that a body may take, in ms: enough for 16 KiB at the pace of a bad phone connection. */
const DEADLINE_MS = 5_000;

// As the body of a JWT, it is read to the letter: a replacement character would name another room.
const utf8 = new TextDecoder("utf-8", { fatal: true });

/**
 * Reads a JSON body.
 * @throws {Refusal} PayloadTooLarge, RequestTimeout, InvalidRequest
 */
export async function readJson(request: IncomingRequest, clock: Clock): Promise<unknown> {
  if (Number(request.headers.get("content-length")) > MAX_BYTES) throw tooLarge();
  const bytes = await readBytes(request, clock);
  if (bytes.length === 0) throw notJson("it is empty");
  try {
    return JSON.parse(utf8.decode(bytes));
  } catch {
    throw notJson("it cannot be parsed");
  }
}

async function readBytes({ body }: IncomingRequest, clock: Clock): Promise<Uint8Array> {
  const reader = body?.getReader();
  let isLate = false;
  const cancel = clock.after(DEADLINE_MS, () => {
    isLate = true;
    reader?.cancel().catch(() => {}); // its sender went away just now
  });
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  try {
    for (let part = await reader?.read(); part?.value; part = await reader!.read()) {
      bytes += part.value.length;
      if (bytes > MAX_BYTES) throw tooLarge();
      chunks.push(part.value);
    }
  } catch (error) {
    if (error instanceof Refusal) throw error;
    // Malformed chunks, or the sender has gone.
    const message = "The body could not be read to its end.";
    throw new Refusal("InvalidRequest", 400, message, { cause: error });
  } finally {
    cancel();
  }
  if (isLate) {
    throw new Refusal("RequestTimeout", 408, `The body took more than ${DEADLINE_MS / 1_000} s.`);
  }
  const whole = new Uint8Array(bytes);
  let filled = 0;
  for (const chunk of chunks) {
    whole.set(chunk, filled);
    filled += chunk.length;
  }
  return whole;
}

function tooLarge(): Refusal {
  return new Refusal("PayloadTooLarge", 413, `The body may have at most ${MAX_BYTES} bytes.`);
}

function notJson(why: string): Refusal {
  return new Refusal("InvalidRequest", 400, `The body must be JSON in UTF-8, but ${why}.`);
}
