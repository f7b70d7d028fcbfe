import { createHash } from "node:crypto";
import type { Clock } from "../clock.ts";
import { Refusal } from "../refusal.ts";
import { GroupCommit } from "../store/kv/group_commit.ts";
import { CLOCK_LEEWAY, type ServiceClaims } from "./service_jwt.ts";

/** Lets each token in once. */
export class ReplayGuard {
  readonly #commits: GroupCommit;

  constructor(private readonly kv: Deno.Kv, private readonly clock: Clock) {
    this.#commits = new GroupCommit(kv);
  }

  /**
   * Spends the token. Call it only once the signature is proven: or a stranger could burn the nonce
   * of a token that was never sent.
   *
   * @throws {Refusal} JwtReplayed, 401, when the token was spent before, here or on another machine
   * with the same store.
   */
  async spend({ iss, exp, nonce }: ServiceClaims): Promise<void> {
    const key = ["jti", iss, digest(nonce)];
    // Past `exp`, so that a clock that steps back does not open a spent token again.
    const deadline = exp * 1000 + CLOCK_LEEWAY;
    if (await this.#claim(key, null, deadline)) return;
    const seen = await this.kv.get<number>(key);
    // KV deletes late: the stored deadline counts, not the presence of the entry.
    if (seen.value !== null && seen.value > this.clock.now()) throw replayed();
    if (!await this.#claim(key, seen.versionstamp, deadline)) throw replayed();
  }

  /** Whether it is ours: the entry has this versionstamp, and nobody else claims it with us. */
  async #claim(key: Deno.KvKey, versionstamp: string | null, deadline: number): Promise<boolean> {
    const stamp = await this.#commits.commit({
      subject: key.join(),
      checks: [{ key, versionstamp }],
      sets: [{ key, value: deadline, expireIn: deadline - this.clock.now() }],
      bytes: 8,
    });
    return stamp !== null;
  }
}

function replayed(): Refusal {
  return new Refusal("JwtReplayed", 401, "The token was used before. Get a new one for each call.");
}

/** A nonce may hold any text: a digest is short, and a KV key has to be. */
function digest(nonce: string): string {
  return createHash("sha256").update(nonce).digest("base64url");
}
