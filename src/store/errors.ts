/** What keeps a store from its work. */
export type StoreFault = "full" | "read-only" | "damaged" | "failing" | "silent";

/**
 * The store cannot do what it was asked. It is logged once, when it begins, and once when it is over:
 * who catches this need not log it again.
 */
export class StoreDownError extends Error {
  override readonly name = "StoreDownError";
  constructor(message: string, readonly fault: StoreFault, options?: ErrorOptions) {
    super(message, options);
  }

  /** The store can be read, but takes no writes. Nothing of the write that failed was stored. */
  get onlyWrites(): boolean {
    return this.fault === "full" || this.fault === "read-only";
  }
}

/** The level at which to log an error that may be the store's. */
export function levelOf(error: unknown, otherwise: "warn" | "error" = "warn") {
  return error instanceof StoreDownError ? "debug" : otherwise;
}
