import type { Limits } from "../limits/limits.ts";
import { Occupancy } from "../limits/occupancy.ts";

/** Look-ups at once. At 300 ms each this is 1,700 new callers a second. */
const MAX_LOOKUPS = 500;

/** Those that are left for DIDs that have called before: a flood of new ones must not keep them out. */
const RESERVED_FOR_KNOWN = 100;

/** Who wants a look-up, and of what. */
export interface LookupShare {
  /** The registrable domain of the host that is asked; null for the directory. */
  domain: string | null;
  /** The network of the caller; null where no caller waits. */
  network: string | null;
  /** Whether the cache has a document of the DID. */
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

  constructor(private readonly limits: Pick<Limits, "lookupsPerAddress" | "lookupsPerDomain">) {}

  /** Takes a share. Returns the function that gives it back, or null when the share is used up. */
  take({ domain, network, isKnown }: LookupShare): (() => void) | null {
    const { lookupsPerAddress, lookupsPerDomain } = this.limits;
    if (this.#all >= (isKnown ? MAX_LOOKUPS : MAX_LOOKUPS - RESERVED_FOR_KNOWN)) return null;
    if (network !== null && this.#perNetwork.of(network) >= lookupsPerAddress) return null;
    if (domain !== null && this.#perDomain.of(domain) >= lookupsPerDomain) return null;
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

/** The domain that somebody registered, under which any number of hosts cost nothing; null without a host. */
export async function registrableDomain(did: string): Promise<string | null> {
  if (!did.startsWith("did:web:")) return null;
  const host = did.slice("did:web:".length);
  // Lazy: the list of public suffixes takes 5 MB, and is read for a look-up only.
  const { getDomain } = await import("tldts");
  return getDomain(host, { allowPrivateDomains: true }) ?? host;
}
