import type { Clock } from "../clock.ts";
import { Refusal } from "../refusal.ts";
import { CLOCK_LEEWAY, type ServiceClaims } from "./service_jwt.ts";

/** Lets each token in once. */
export class ReplayGuard {
  #kv: Deno.Kv;
  #clock: Clock;

  constructor(kv: Deno.Kv, clock: Clock) {
    this.#kv = kv;
    this.#clock = clock;
  }

  /**
   * Spends the token. Call it only once the signature is proven: or a stranger could burn the nonce
   * of a token that was never sent.
   *
   * @throws {Refusal} JwtReplayed, 401, when the token was spent before, here or on another machine
   * with the same store.
   */
  async spend({ iss, exp, jti }: ServiceClaims): Promise<void> {
    const now = this.#clock.now();
    // Past `exp`, so that a clock that steps back does not open a spent token again.
    const deadline = exp * 1000 + CLOCK_LEEWAY;
    const seen = await this.#kv.get<number>(["jti", iss, await sha256(jti)]);
    // KV deletes late: the stored deadline counts, not the presence of the entry.
    if (seen.value !== null && seen.value > now) throw replayed();
    const { ok } = await this.#kv.atomic()
      .check(seen)
      .set(seen.key, deadline, { expireIn: deadline - now })
      .commit();
    if (!ok) throw replayed();
  }
}

function replayed(): Refusal {
  return new Refusal("JwtReplayed", 401, "The token was used before. Get a new one for each call.");
}

/** A nonce may hold any text: a digest is short, and a KV key has to be. */
async function sha256(text: string): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
}
