/** Sends bytes as they are, and reads the first answer: its status, or null if there was none. */
export async function sendRaw(port: number, text: string): Promise<number | null> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  await connection.write(new TextEncoder().encode(text));
  const buffer = new Uint8Array(4_096);
  const count = await connection.read(buffer);
  if (count === null) return null;
  return Number(new TextDecoder().decode(buffer.subarray(0, count)).split(" ")[1]);
}

/** A request without a body. `host` as null leaves the header out. */
export function rawRequest(method: string, target: string, host: string | null = "x"): string {
  const header = host === null ? "" : `host: ${host}\r\n`;
  return `${method} ${target} HTTP/1.1\r\n${header}connection: close\r\n\r\n`;
}
