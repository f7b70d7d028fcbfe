import { Refusal, type RefusalOptions } from "../refusal.ts";

/** A look-up of a DID document that brought neither a document nor the word that there is none. */
export class LookupFailure extends Refusal {
  /**
   * Whether the directory said nothing at all. Only then may an old document stand in: a directory
   * that answers nonsense is not down.
   */
  readonly unreachable: boolean;

  constructor(
    name: "UpstreamFailure" | "UpstreamTimeout",
    message: string,
    options: RefusalOptions & { unreachable: boolean },
  ) {
    super(name, name === "UpstreamTimeout" ? 504 : 502, message, options);
    this.unreachable = options.unreachable;
  }
}

/** The directory or host gave no answer: no route, no name, no valid certificate, or a 5xx. */
export function unreachable(cause: unknown): LookupFailure {
  const message = "The DID directory or host of the token's issuer can't be reached. Try again.";
  return new LookupFailure("UpstreamFailure", message, { unreachable: true, cause });
}

/** The directory or host was too slow. */
export function timedOut(): LookupFailure {
  const message = "The DID directory or host of the token's issuer took too long. Try again.";
  return new LookupFailure("UpstreamTimeout", message, { unreachable: true });
}

/** There was an answer, but not one to use. `why` completes the sentence. */
export function unusable(why: string, cause?: unknown): LookupFailure {
  const message = `The DID document of the token's issuer can't be used: ${why}.`;
  return new LookupFailure("UpstreamFailure", message, { unreachable: false, cause });
}

/** We do not ask, to spare the directory. @param retryAfter In seconds. */
export function notAsked(retryAfter: number): LookupFailure {
  const message = "The DID of the token's issuer was looked up too often just now. Wait a little.";
  return new LookupFailure("UpstreamFailure", message, { unreachable: true, retryAfter });
}
