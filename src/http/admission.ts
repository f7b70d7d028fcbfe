import type { Clock } from "../clock.ts";
import type { Limits } from "../limits/limits.ts";
import { Occupancy } from "../limits/occupancy.ts";
import { networkOf, RateLimit } from "../limits/rate_limit.ts";
import { Refusal } from "../refusal.ts";

/** Seconds after which to come back if too many requests are being answered: these will be by then. */
const RETRY_AFTER_S = 5;

/** The number of requests that are answered: a minute from one address, and at once from one and in all. */
export class Admission {
  readonly #rate: RateLimit;
  readonly #perAddress = new Occupancy();
  #all = 0;

  constructor(
    private readonly limits: Pick<
      Limits,
      "requests" | "requestsPerAddress" | "requestsAtOncePerAddress"
    >,
    clock: Clock,
  ) {
    this.#rate = new RateLimit("requestsPerAddress", limits.requestsPerAddress, clock);
  }

  /**
   * Counts a request, and reserves a place for it. The function that is returned releases the place.
   * @throws {Refusal} RateLimitExceeded, 429; TooBusy, 503
   */
  enter(address: string): () => void {
    const { requests, requestsAtOncePerAddress } = this.limits;
    const network = networkOf(address);
    this.#rate.spend(network);
    if (this.#perAddress.of(network) >= requestsAtOncePerAddress) {
      throw new Refusal(
        "RateLimitExceeded",
        429,
        `At most ${requestsAtOncePerAddress} requests from one address are answered at once.`,
        { retryAfter: RETRY_AFTER_S, limit: "requestsAtOncePerAddress" },
      );
    }
    if (this.#all >= requests) {
      const message = "The service is overloaded. Try again in a moment.";
      throw new Refusal("TooBusy", 503, message, { retryAfter: RETRY_AFTER_S, limit: "requests" });
    }
    this.#all++;
    this.#perAddress.enter(network);
    return () => {
      this.#all--;
      this.#perAddress.leave(network);
    };
  }
}
