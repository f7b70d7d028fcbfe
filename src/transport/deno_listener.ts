import type { Listener, ListenOptions } from "./listener.ts";

/**
 * Listens with `Deno.serve`, whose sockets cannot stop reading. For Deno Deploy, which routes no other
 * listener, and for versions of Deno whose `node:http` cannot refuse an upgrade.
 */
export function listen({ port, hostname, reusePort, service }: ListenOptions): Listener {
  const server = Deno.serve(
    { port, hostname, reusePort, onListen: () => {} },
    (request, info) => service().fetch(request, info),
  );
  return { port: server.addr.port, close: () => server.shutdown() };
}
