import type { Clock } from "../clock.ts";
import { DenoSocket } from "./deno_socket.ts";
import type { Socket } from "./socket.ts";

/** What is read of a request. A `Request` is one. */
export type IncomingRequest = Pick<Request, "method" | "url" | "headers" | "body">;

/** A request that became a WebSocket, and what its listener has to answer. */
export interface Upgraded {
  socket: Socket;
  response: Response;
}

/** The connection on which a request came in. */
export interface Transport {
  /** The network address of the other side. */
  address: string;
  /**
   * Makes the request a WebSocket and answers 101 with that sub-protocol; null where the request cannot become one.
   * To be called once the request has been found to be a correct handshake.
   * @throws {Refusal} ClientGone: the client has gone before its handshake was answered
   */
  upgrade: ((protocol?: string) => Upgraded) | null;
}

/** How `Deno.serve` brings a request. */
export function denoTransport(
  request: Request,
  info: Deno.ServeHandlerInfo | undefined,
  { clock, pingTimeout }: { clock: Clock; pingTimeout: number },
): Transport {
  const remote = info?.remoteAddr;
  return {
    address: remote !== undefined && "hostname" in remote ? remote.hostname : "unknown",
    upgrade(protocol) {
      const { socket, response } = Deno.upgradeWebSocket(request, {
        idleTimeout: pingTimeout / 1_000,
      });
      // Its option of this name throws where the client's list is not separated by exactly ", ".
      if (protocol !== undefined) response.headers.set("sec-websocket-protocol", protocol);
      return { socket: new DenoSocket(socket, clock), response };
    },
  };
}
