import { Occupancy } from "../limits/occupancy.ts";

/** How many look-ups run at once. */
export interface LookupBounds {
  all: number;
  /** Of all, those that only what is known may use: a flood of new names must not keep it out. */
  reservedForKnown: number;
  perNetwork: number;
  perDomain: number;
}

/** Who wants a look-up, and of what. */
export interface LookupShare {
  /** The registrable domain of the host that is asked; null for a host that is not a stranger's choice. */
  domain: string | null;
  /** The network of the caller; null where no caller waits. */
  network: string | null;
  /** Whether the cache has an earlier answer. */
  isKnown: boolean;
}

/**
 * Shares the look-ups that run at once among callers' networks and registrable domains, so that slow
 * hosts of one stranger do not keep other accounts out.
 */
export class LookupShares {
  #all = 0;
  readonly #perNetwork = new Occupancy();
  readonly #perDomain = new Occupancy();

  constructor(private readonly bounds: LookupBounds) {}

  /** Takes a share. Returns the function that gives it back, or null when the share is used up. */
  take({ domain, network, isKnown }: LookupShare): (() => void) | null {
    const { all, reservedForKnown, perNetwork, perDomain } = this.bounds;
    if (this.#all >= (isKnown ? all : all - reservedForKnown)) return null;
    if (network !== null && this.#perNetwork.of(network) >= perNetwork) return null;
    if (domain !== null && this.#perDomain.of(domain) >= perDomain) return null;
    this.#all++;
    if (network !== null) this.#perNetwork.enter(network);
    if (domain !== null) this.#perDomain.enter(domain);
    return () => {
      this.#all--;
      if (network !== null) this.#perNetwork.leave(network);
      if (domain !== null) this.#perDomain.leave(domain);
    };
  }
}

/** The domain that somebody registered for a host, under which any number of hosts cost nothing. */
export async function registrableDomain(host: string): Promise<string> {
  // Lazy: the list of public suffixes takes 5 MB, and is read for a look-up only.
  const { getDomain } = await import("tldts");
  return getDomain(host, { allowPrivateDomains: true }) ?? host;
}
