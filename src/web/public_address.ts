import type { LookupAddress } from "node:dns";
import type { LookupFunction } from "node:net";
import ipaddr from "ipaddr.js";
import { unusable } from "./lookup_failure.ts";

/** Finds all addresses of a host name. */
export type Resolve = (hostname: string) => Promise<LookupAddress[]>;

/** All of the IPv6 Internet: https://www.iana.org/assignments/ipv6-unicast-address-assignments */
const GLOBAL_UNICAST = ipaddr.IPv6.parseCIDR("2000::/3");

/**
 * Whether an address belongs to the open Internet: not to this machine, its network, its cloud's
 * metadata service, nor to a tunnel that could lead back to one (NAT64, 6to4, Teredo).
 */
export function isPublicAddress(address: string): boolean {
  if (!ipaddr.isValid(address)) return false;
  // `process` reads an IPv4-mapped address (::ffff:127.0.0.1) as the IPv4 address that it is.
  const parsed = ipaddr.process(address);
  if (parsed.range() !== "unicast") return false;
  return parsed instanceof ipaddr.IPv4 || parsed.match(GLOBAL_UNICAST);
}

/**
 * A `lookup` for a socket that refuses a name as soon as one of its addresses is not allowed. The
 * socket connects to what was checked, so a name that changes its answer gains nothing.
 */
export function guardedLookup(
  resolve: Resolve,
  isAllowed: (address: string) => boolean,
): LookupFunction {
  return (hostname, options, callback) => {
    resolve(hostname).then((addresses) => {
      if (!addresses.every(({ address }) => isAllowed(address))) throw notPublic(hostname);
      const [first] = addresses;
      if (!first) throw new Error("The host name has no address");
      if (options.all) callback(null, addresses);
      else callback(null, first.address, first.family);
    }).catch((error) => callback(error, ""));
  };
}

function notPublic(host: string) {
  return unusable(host, "it has an address that is not on the public Internet");
}
