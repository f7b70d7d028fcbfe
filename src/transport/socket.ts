/**
 * One WebSocket, whichever library carries it. `ws_socket.ts` is the one of our own listener, `deno_socket.ts`
 * that of whoever gives us a `Request`.
 */
export interface Socket {
  /** Bytes that were sent and that the network has not taken yet. */
  readonly buffered: number;
  /** Bytes that have arrived of a message that is not complete; 0 where the transport does not say. */
  readonly incomplete: number;
  /** Whether `pause` stops the peer. Where it does not, a peer that is too fast can only be closed. */
  readonly canPause: boolean;
  /** Begins to report. To be called once, and at once. */
  start(events: SocketEvents): void;
  /** Sends one binary message. Does nothing once the socket is closing. Never throws. */
  send(message: Uint8Array): void;
  /**
   * Closes with a code that the peer can read: what was sent before goes first, and what arrives is dropped.
   * A peer that does not answer is terminated after a bounded time.
   */
  close(code: number, reason: string): void;
  /** Ends the connection at once and frees what is buffered. */
  terminate(): void;
  /** Stops reading, so that the peer has to wait. */
  pause(): void;
  resume(): void;
}

/** What a socket reports, in the order in which it happens. */
export interface SocketEvents {
  /** The handshake is complete. */
  opened(): void;
  /** So many frames have begun and so many bytes have arrived, of any kind. Comes before the messages in them. */
  arrived(frames: number, bytes: number): void;
  /** A ping or a pong has arrived. */
  control(): void;
  /** A whole message has arrived; text is a string. It is the receiver's to keep. */
  message(data: Uint8Array | string): void;
  /** What has arrived breaks the protocol or a limit; the socket is closing with this code. */
  failed(code: number, reason: string): void;
  /** Everything that was sent has been taken by the network, after some of it had to wait. */
  drained(): void;
  /** The connection has ended. Comes exactly once, whatever happens, also when it never opened. */
  closed(code: number): void;
}
