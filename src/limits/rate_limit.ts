import ipaddr from "ipaddr.js";
import { RateLimiterMemory, type RateLimiterRes } from "rate-limiter-flexible";
import { Refusal } from "../refusal.ts";
import type { Limits } from "./limits.ts";

/** Counts calls in windows of one minute, for this process alone. */
export class RateLimit {
  #limiter: RateLimiterMemory;
  #perMinute: number;

  constructor(private readonly limit: keyof Limits, perMinute: number) {
    this.#limiter = new RateLimiterMemory({ points: perMinute, duration: 60 });
    this.#perMinute = perMinute;
  }

  /**
   * Counts one call of `key`.
   * @throws {Refusal} RateLimitExceeded, 429, when that is one too many.
   */
  async spend(key: string): Promise<void> {
    try {
      await this.#limiter.consume(key);
    } catch (answer) {
      throw answer instanceof Error ? answer : this.#tooMany(answer as RateLimiterRes);
    }
  }

  /**
   * Counts nothing.
   * @throws {Refusal} RateLimitExceeded, 429, when a call of `key` would be one too many.
   */
  async check(key: string): Promise<void> {
    const spent = await this.#limiter.get(key);
    if (spent && spent.consumedPoints >= this.#perMinute) throw this.#tooMany(spent);
  }

  #tooMany({ msBeforeNext }: RateLimiterRes): Refusal {
    const { limit } = this;
    const retryAfter = Math.max(1, Math.ceil(msBeforeNext / 1000));
    const words = `Too many calls. Wait for ${retryAfter} s.`;
    return new Refusal("RateLimitExceeded", 429, words, { retryAfter, limit });
  }
}

/**
 * The part of an address that one caller can't change at will. Whoever has one IPv6 address has its
 * /64 (https://www.rfc-editor.org/rfc/rfc6177), so the /64 is what we count.
 */
export function networkOf(address: string): string {
  if (!ipaddr.isValid(address)) return address;
  const parsed = ipaddr.process(address);
  if (parsed instanceof ipaddr.IPv4) return parsed.toString();
  return `${parsed.parts.slice(0, 4).map((part) => part.toString(16)).join(":")}::/64`;
}
