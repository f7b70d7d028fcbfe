import { Refusal } from "../refusal.ts";
import type { Authenticator, Caller, Identity } from "./authenticator.ts";

/** Leaves it to a function of yours: from a token to an identity, or to null for a token that is not good. */
export function verify(
  check: (token: string) => Identity | null | Promise<Identity | null>,
): Authenticator {
  const authenticate = async ({ token }: Caller) => {
    if (token === null) throw new Refusal("AuthMissing", 401, "This needs a token.");
    const identity = await check(token);
    if (identity === null) throw new Refusal("InvalidToken", 401, "The token is not good.");
    return identity;
  };
  return { authenticate, authenticateSocket: authenticate, tokenInUrl: true };
}
