import type { LookupAddress } from "node:dns";
import { lookup } from "node:dns/promises";
import type { Resolve } from "./public_address.ts";

/** Longer than the request that needs the address may take: that its own limit ends it is what it reports. */
const TIMEOUT_MS = 4_000;

/** Asks the name servers of the system for the records of one type. */
export type Query = (
  hostname: string,
  type: "A" | "AAAA",
  options: { signal: AbortSignal },
) => Promise<string[]>;

/**
 * Finds the addresses of a host of a stranger's choice. Unlike `node:dns`, which blocks one of the 32
 * threads that also read files and resolve every other name: of 100 hosts whose name servers never
 * answered, all of these waited for 10 s and more. Of 500 asked in this way nothing else waited.
 * @param fallback Used where the process may not talk to the name servers itself: some clouds have theirs
 * at 169.254.169.254, which `deno task start` denies.
 * @throws {Error} when the host has no address
 */
export async function resolveHost(
  hostname: string,
  query: Query = Deno.resolveDns,
  fallback: Resolve = (hostname) => lookup(hostname, { all: true }),
): Promise<LookupAddress[]> {
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  // The dot makes the name absolute, so that no search domain of the machine is tried.
  const ask = (type: "A" | "AAAA") => query(`${hostname}.`, type, { signal });
  const [v4, v6] = await Promise.allSettled([ask("A"), ask("AAAA")]);
  const addresses = [v4, v6].flatMap((answer, n) =>
    answer.status === "rejected"
      ? []
      : answer.value.map((address) => ({ address, family: n === 0 ? 4 : 6 }))
  );
  if (addresses.length > 0 || v4.status === "fulfilled") return addresses;
  if (v4.reason instanceof Deno.errors.NotCapable) return await fallback(hostname);
  throw v4.reason;
}
