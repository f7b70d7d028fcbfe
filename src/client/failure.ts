/**
 * Why a provider is not connected, or something was refused. `name` is the service's own name for it
 * (`Forbidden`, `RateLimitExceeded`, …), or one of
 *
 * - `Unreachable`: there was no answer, or none that the service would give
 * - `NoTicket`: `getTicket` failed in a way of its own, which is the `cause`, or gave something else
 * - `Closed`: the connection has ended; `code` says how
 * - `NotAllowed`: the service refuses what was written, or shown
 * - `Destroyed`: the provider was
 */
export class ProviderError extends Error {
  /** The HTTP status of the answer, if it was one. */
  readonly status?: number;
  /** The close code of the connection, if it has ended. */
  readonly code?: number;
  /** When the service wants to be asked again, in ms. */
  readonly retryAfter?: number;

  /** For a `getTicket` of yours, which knows better than `NoTicket` why there is none. */
  constructor(name: string, message: string, details: Details = {}) {
    super(message, { cause: details.cause });
    this.name = name;
    this.status = details.status;
    this.code = details.code;
    this.retryAfter = details.retryAfter;
  }
}

type Details = Partial<Pick<ProviderError, "status" | "code" | "retryAfter" | "cause">>;

/** Whatever was thrown on the way to a connection, as what it means for a provider. */
export function asFailure(thrown: unknown): ProviderError {
  if (thrown instanceof ProviderError) return thrown;
  // What `fetch` throws where nobody answers: https://fetch.spec.whatwg.org/#fetch-method
  const name = thrown instanceof TypeError ? "Unreachable" : "NoTicket";
  const words = thrown instanceof Error ? thrown.message : String(thrown);
  return new ProviderError(name, words, { cause: thrown });
}

/** The answer to a call by XRPC. @throws {ProviderError} it is an error, or none of XRPC's */
export async function readAnswer<T>(response: Response): Promise<T> {
  const { status, headers } = response;
  const body = await response.json().catch(() => null);
  const isObject = typeof body === "object" && body !== null;
  if (response.ok && isObject) return body as T;
  const retryAfter = readRetryAfter(headers.get("retry-after"));
  // Only who speaks XRPC is the service. A login page of a café's network answers too.
  if (!isObject || typeof body.error !== "string") {
    const words = `Instead of the service, something else answered (${status}).`;
    throw new ProviderError("Unreachable", words, { retryAfter });
  }
  const words = typeof body.message === "string" ? body.message : body.error;
  throw new ProviderError(body.error, words, { status, retryAfter });
}

/** In ms: https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3, seconds or a date. */
function readRetryAfter(value: string | null): number | undefined {
  if (value === null) return undefined;
  const ms = /^\d+$/.test(value) ? Number(value) * 1_000 : Date.parse(value) - Date.now();
  return ms > 0 ? ms : undefined;
}
