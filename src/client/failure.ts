/**
 * Why a provider is not connected, or why something was rejected. `message` is a sentence that a user
 * may read. `name` is for programs: the service's own name for it (`Forbidden`, `RateLimitExceeded`, …),
 * or one of
 *
 * - `Unreachable`: there was no answer, or none of the service's
 * - `NoTicket`: `getTicket` threw something else, which is the `cause`, or resolved with no ticket
 * - `Closed`: the connection has ended; `code` says how
 * - `NotAllowed`: the service rejects what was written, or shown
 * - `TooLarge`: a single value is larger than the service accepts. It stays on this device, and so does
 *   everything that builds on it
 * - `Incomplete`: the document refers to edits that nobody has sent; everything else is in sync
 * - `Conflict`: somebody else used this document's Yjs client id. The edits of this device were kept
 *   under another one
 * - `Destroyed`: the provider was destroyed
 */
export class ProviderError extends Error {
  /** The HTTP status of the answer, if there was one. */
  readonly status?: number;
  /** The close code of the connection, if it has ended. */
  readonly code?: number;
  /** When the service wants to be asked again, in ms. */
  readonly retryAfter?: number;
  /** Trying again will not help. */
  readonly isFinal: boolean;

  /** For a `getTicket` of yours, which knows better than `NoTicket` why there is none. */
  constructor(name: string, message: string, details: Details = {}) {
    super(message, { cause: details.cause });
    this.name = name;
    this.status = details.status;
    this.code = details.code;
    this.retryAfter = details.retryAfter;
    this.isFinal = details.isFinal ?? false;
  }
}

type Details = Partial<Pick<ProviderError, "status" | "code" | "retryAfter" | "isFinal" | "cause">>;

/** What was thrown on the way to a connection to this endpoint, as what it means for a provider. */
export function asFailure(thrown: unknown, endpoint: string): ProviderError {
  if (thrown instanceof ProviderError) return thrown;
  // `fetch` throws a TypeError where nobody answers: https://fetch.spec.whatwg.org/#fetch-method
  if (thrown instanceof TypeError) {
    const words = `The service at ${endpoint} cannot be reached.`;
    return new ProviderError("Unreachable", words, { cause: thrown });
  }
  const words = "The app could not prove who you are. You may have to sign in again.";
  return new ProviderError("NoTicket", words, { cause: thrown });
}

/** Why the service closed a connection, for a user; null if it did not say. */
export function closeWords(code: number, reason: string): string | null {
  return reason === "" ? CLOSE_WORDS[code] ?? null : sentence(reason);
}

const CLOSE_WORDS: Record<number, string> = {
  1001: "The service is restarting.",
  1009: "What was sent is larger than the service accepts.",
  1011: "The service has a problem.",
  1013: "The service is too busy.",
  4401: "The session is over.",
  4403: "Your access was removed.",
  4404: "The document was deleted.",
  4429: "This app sends more than the service accepts.",
};

/** The answer to an XRPC call. @throws {ProviderError} it is an error, or no answer of XRPC's */
export async function readAnswer<T>(response: Response): Promise<T> {
  const { status, headers } = response;
  const body = await response.json().catch(() => null);
  const isObject = typeof body === "object" && body !== null;
  if (response.ok && isObject) return body as T;
  const retryAfter = readRetryAfter(headers.get("retry-after"));
  // Only what speaks XRPC is the service. A login page of a café's network answers too.
  if (!isObject || typeof body.error !== "string") {
    const words = `Something other than the service answered (status ${status}).`;
    throw new ProviderError("Unreachable", words, { retryAfter });
  }
  const hasWords = typeof body.message === "string" && body.message !== "";
  const words = hasWords ? sentence(body.message) : `The service said no (${body.error}).`;
  throw new ProviderError(body.error, words, { status, retryAfter });
}

/** Words as a sentence: with a capital, and a full stop. */
export function sentence(words: string): string {
  const text = words.trim();
  return text[0]!.toUpperCase() + text.slice(1) + (/[.!?…]$/.test(text) ? "" : ".");
}

/** In ms: https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3, seconds or a date. */
function readRetryAfter(value: string | null): number | undefined {
  if (value === null) return undefined;
  const ms = /^\d+$/.test(value) ? Number(value) * 1_000 : Date.parse(value) - Date.now();
  return ms > 0 ? ms : undefined;
}
