import type { Clock } from "../clock.ts";
import { Refusal } from "../refusal.ts";

/** Our largest input is a room's name and a DID; 16 KiB is far beyond that, even if all of it is escaped. */
const MAX_BYTES = 16 * 1024;

/** So long a body may take, in ms: that is a telephone line's pace, and nobody's who means it. */
const DEADLINE = 5_000;

/**
 * Reads a JSON body; undefined when it is no JSON.
 * @throws {Refusal} PayloadTooLarge, RequestTimeout
 */
export async function readJson(request: Request, clock: Clock): Promise<unknown> {
  const text = new TextDecoder().decode(await readBytes(request, clock));
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

async function readBytes({ body }: Request, clock: Clock): Promise<Uint8Array> {
  const reader = body?.getReader();
  let isLate = false;
  const cancel = clock.after(DEADLINE, () => {
    isLate = true;
    reader?.cancel().catch(() => {}); // its sender went away just now
  });
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  try {
    for (let part = await reader?.read(); part?.value; part = await reader!.read()) {
      bytes += part.value.length;
      if (bytes > MAX_BYTES) {
        throw new Refusal("PayloadTooLarge", 413, `The body may have at most ${MAX_BYTES} bytes.`);
      }
      chunks.push(part.value);
    }
  } finally {
    cancel();
  }
  if (isLate) {
    throw new Refusal("RequestTimeout", 408, `The body took more than ${DEADLINE / 1_000} s.`);
  }
  const whole = new Uint8Array(bytes);
  let filled = 0;
  for (const chunk of chunks) {
    whole.set(chunk, filled);
    filled += chunk.length;
  }
  return whole;
}
