import type { Setback } from "./backoff.ts";
import type { ProviderError } from "./failure.ts";

/** The session has lasted long enough: come back with a new ticket. */
const SESSION_OVER = 4401;

/** Nobody is let in again who does not come as somebody else: not allowed, or the room was deleted. */
const FOR_GOOD = new Set([4403, 4404]);

/** The service is too busy, or we say too much, or what it cannot take. */
const SLOWER = new Set([1009, 1013, 4400, 4429]);

/** HTTP's words for the same. */
const SLOWER_STATUS = new Set([429, 503]);

/** Trying again would not help: the answer is no, and whoever is in charge of the room has to change that. */
export function isDenial({ name, status, isFinal, code = 0 }: ProviderError): boolean {
  return isFinal || status === 403 || name === "InvalidRoom" || FOR_GOOD.has(code);
}

/** A new ticket is all that is needed. */
export function isRenewal({ code }: ProviderError): boolean {
  return code === SESSION_OVER;
}

/** What a failure means for the next attempt. */
export function setback({ code = 0, status = 0, retryAfter }: ProviderError): Setback {
  return { isSlower: SLOWER.has(code) || SLOWER_STATUS.has(status), retryAfter };
}
