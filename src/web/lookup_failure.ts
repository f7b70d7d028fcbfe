import { Refusal, type RefusalOptions } from "../refusal.ts";

/** A host of somebody else brought neither what was asked for nor the word that it is not there. */
export class LookupFailure extends Refusal {
  /**
   * Whether the host said nothing at all. Only then may an old answer stand in: a host that answers
   * nonsense is not down.
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

/** There was an answer, and it is not the document of the DID. To ask again would bring the same. */
export class BadDocument extends LookupFailure {
  constructor(host: string, did: string) {
    const message = `The answer of ${host} can't be used: it is not a DID document of ${did}.`;
    super("UpstreamFailure", message, { unreachable: false });
  }
}

/** The host gave no answer: no route, no name, no valid certificate, or a 5xx. */
export function unreachable(host: string, cause: unknown): LookupFailure {
  const message = `${host} can't be reached. Try again.`;
  return new LookupFailure("UpstreamFailure", message, { unreachable: true, cause });
}

/** The host was too slow. */
export function timedOut(host: string): LookupFailure {
  const message = `${host} took too long. Try again.`;
  return new LookupFailure("UpstreamTimeout", message, { unreachable: true });
}

/** There was an answer, but not one to use. `why` completes the sentence. */
export function unusable(host: string, why: string, cause?: unknown): LookupFailure {
  const message = `The answer of ${host} can't be used: ${why}.`;
  return new LookupFailure("UpstreamFailure", message, { unreachable: false, cause });
}

/** We do not ask, to spare the host. @param retryAfter In seconds. */
export function notAsked(host: string, retryAfter: number): LookupFailure {
  const message = `${host} was asked too often just now. Wait a little.`;
  return new LookupFailure("UpstreamFailure", message, { unreachable: true, retryAfter });
}
