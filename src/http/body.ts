import { Refusal } from "../refusal.ts";

/** Our largest input is a room's name and a DID; 16 KiB is far beyond that, even if all of it is escaped. */
const MAX_BYTES = 16 * 1024;

/** Reads a JSON body; undefined when it is no JSON. @throws {Refusal} PayloadTooLarge */
export async function readJson(request: Request): Promise<unknown> {
  const text = new TextDecoder().decode(await readBytes(request));
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

async function readBytes(request: Request): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of request.body ?? []) {
    bytes += chunk.length;
    if (bytes > MAX_BYTES) {
      throw new Refusal("PayloadTooLarge", 413, `The body may have at most ${MAX_BYTES} bytes.`);
    }
    chunks.push(chunk);
  }
  const whole = new Uint8Array(bytes);
  let filled = 0;
  for (const chunk of chunks) {
    whole.set(chunk, filled);
    filled += chunk.length;
  }
  return whole;
}
