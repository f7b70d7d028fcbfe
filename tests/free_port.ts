/** A port that nobody listens on, for servers that cannot choose one and say which. */
export function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}
