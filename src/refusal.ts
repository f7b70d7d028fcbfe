/**
 * A request that is refused for a reason its sender may read. The name and the words go out as an
 * XRPC error (https://atproto.com/specs/xrpc#error-responses); anything else that is thrown becomes
 * a plain 500 that tells nothing.
 */
export class Refusal extends Error {
  /** HTTP status of the answer. */
  readonly status: number;
  /** Seconds that the sender should wait before it tries again, where that helps. */
  readonly retryAfter?: number;
  /** The limit that the sender has come up against, if it is one. */
  readonly limit?: string;

  constructor(name: string, status: number, message: string, options?: RefusalOptions) {
    super(message, { cause: options?.cause });
    this.name = name;
    this.status = status;
    this.retryAfter = options?.retryAfter;
    this.limit = options?.limit;
  }
}

/** What a refusal may carry besides its words. `cause` is for the log and never leaves the house. */
export interface RefusalOptions {
  retryAfter?: number;
  limit?: string;
  cause?: unknown;
}
