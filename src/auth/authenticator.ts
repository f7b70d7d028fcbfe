/** Who is calling, once proven. */
export interface Identity {
  /** The caller's DID. */
  did: string;
}

/** Someone who opens a socket and wants to be known. */
export interface Caller {
  /** The token that was brought, or null when there is none. */
  token: string | null;
  /** The caller's network address, for rate limits. */
  address: string;
  /**
   * Reads the DID that the request names, if it names one. It means nothing unless the token proves it.
   * To read it may mean to wait for the request's body, so check first whatever needs no body.
   * @throws {Refusal} when the body cannot be read
   */
  claimedDid(): Promise<string | undefined>;
}

/** One XRPC call whose caller wants to be known. */
export interface Call extends Caller {
  /** The NSID of the method that is called: the `lxm` that a service JWT must carry. */
  method: string;
}

/** Finds out who is calling. Each way of doing so is one implementation. */
export interface Authenticator {
  /** @throws {Refusal} 401 when the caller is not proven, 429 when it calls too often, 5xx when no one can tell. */
  authenticate(call: Call): Promise<Identity>;
  /**
   * Who opens a socket with a token of their own in place of a ticket. Absent where only tickets
   * open sockets, as with service JWTs: one of these is bound to a method.
   * @throws {Refusal} 401
   */
  authenticateSocket?(caller: Caller): Promise<Identity>;
  /** Whether the token may also come as `?token=`, as stock y-websocket users send it. */
  readonly tokenInUrl?: boolean;
  /**
   * Whether it is certain that the DID does not exist any more. Absent where DIDs are not looked up.
   */
  isGone?(did: string): Promise<boolean>;
  /** Loads ahead of time what the first call would otherwise wait for. */
  warm?(): Promise<void>;
}

/** Everyone, where nobody is asked for a name. `.invalid` can never be anyone's (RFC 2606). */
export const ANYONE: Identity = { did: "did:web:anyone.invalid" };
