import ipaddr from "ipaddr.js";
import type { Clock } from "../clock.ts";
import { Refusal } from "../refusal.ts";
import { RequestBudget } from "../web/request_budget.ts";
import type { Limits } from "./limits.ts";

/**
 * So many calls a minute of each key, for this process alone: a bucket that holds a minute's worth, and
 * fills as time passes.
 */
export class RateLimit {
  readonly #budget: RequestBudget;

  constructor(private readonly limit: keyof Limits, perMinute: number, clock: Clock) {
    this.#budget = new RequestBudget(clock, { interval: 60_000 / perMinute, burst: perMinute });
  }

  /**
   * Counts one call of `key`.
   * @throws {Refusal} RateLimitExceeded, 429, when that is one too many.
   */
  spend(key: string): void {
    this.#refuse(this.#budget.take(key));
  }

  /**
   * Counts nothing.
   * @throws {Refusal} RateLimitExceeded, 429, when a call of `key` would be one too many.
   */
  check(key: string): void {
    this.#refuse(this.#budget.wait(key));
  }

  #refuse(wait: number): void {
    if (wait === 0) return;
    const { limit } = this;
    const retryAfter = Math.ceil(wait / 1_000);
    const words = `Too many calls. Wait for ${retryAfter} s.`;
    throw new Refusal("RateLimitExceeded", 429, words, { retryAfter, limit });
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
