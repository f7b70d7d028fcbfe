/** An HTTP answer, read off the line. */
export interface RawAnswer {
  status: number;
  headers: Headers;
  body: string;
}

const UPGRADE = {
  connection: "Upgrade",
  upgrade: "websocket",
  "sec-websocket-version": "13",
  "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
};

/** Opens a WebSocket by hand, since no client shows the status of a refusal. `null` leaves a header out. */
export async function handshake(
  port: number,
  path: string,
  headers: Record<string, string | null> = {},
): Promise<RawAnswer> {
  using line = await Deno.connect({ hostname: "127.0.0.1", port });
  const all = { host: `localhost:${port}`, ...UPGRADE, ...headers };
  const lines = Object.entries(all).flatMap(([name, value]) =>
    value === null ? [] : `${name}: ${value}`
  );
  await line.write(
    new TextEncoder().encode(`GET ${path} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`),
  );

  let text = "";
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(4096);
  const complete = () => {
    const end = text.indexOf("\r\n\r\n");
    if (end < 0) return false;
    const length = /content-length: (\d+)/i.exec(text)?.[1] ?? "0";
    return text.length >= end + 4 + Number(length);
  };
  while (!complete()) {
    const count = await line.read(buffer);
    if (count === null) break;
    text += decoder.decode(buffer.subarray(0, count), { stream: true });
  }
  const [head, body = ""] = text.split("\r\n\r\n");
  const [start, ...fields] = head!.split("\r\n");
  return {
    status: Number(start!.split(" ")[1]),
    headers: new Headers(
      fields.map((field) => field.split(/: (.*)/s).slice(0, 2) as [string, string]),
    ),
    body,
  };
}
