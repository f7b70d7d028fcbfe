import ipaddr from "ipaddr.js";

type Range = [ipaddr.IPv4 | ipaddr.IPv6, number];

/** The header that Caddy, nginx and most other proxies set. */
export const DEFAULT_PROXY_HEADER = "X-Forwarded-For";

/** The proxies in front of the service, whose word for the address of a client is taken. */
export class Proxies {
  readonly #ranges: Range[];
  readonly #header: string;

  /**
   * @param header The one header that is read: `Forwarded` (RFC 7239), or one that is a list of
   * addresses, or a single one. Every other is the client's to write.
   * @throws {Error} when a range is neither an address nor a range of them, such as 10.0.0.0/8
   */
  constructor(ranges: string[], header: string = DEFAULT_PROXY_HEADER) {
    this.#header = header.toLowerCase();
    this.#ranges = ranges.map((text) =>
      text.includes("/")
        ? ipaddr.parseCIDR(text) as Range
        : [ipaddr.process(text), ipaddr.process(text).kind() === "ipv4" ? 32 : 128]
    );
  }

  /**
   * The address of the client: the other side of the connection, or, if that is one of the proxies, the
   * last hop in the header that is not. Anyone can write what precedes it. A hop that is not an IP
   * address ends the search, so that the address of the proxy before it counts.
   */
  addressOf(peer: string, headers: Headers): string {
    let address = peer;
    for (const hop of this.#ranges.length === 0 ? [] : this.#hops(headers).reverse()) {
      if (!this.includes(address)) break;
      const next = readAddress(hop);
      if (next === null) break;
      address = next;
    }
    return address;
  }

  #hops(headers: Headers): string[] {
    const hops = (headers.get(this.#header) ?? "").split(",").map((hop) => hop.trim())
      .filter((hop) => hop !== "");
    if (this.#header !== "forwarded") return hops;
    const forwardedFor = /(?:^|;)\s*for=("[^"]*"|[^;\s]*)/i;
    return hops.map((hop) => forwardedFor.exec(hop)?.[1]?.replaceAll('"', "") ?? "unknown");
  }

  /** Whether an address is that of one of the proxies. */
  includes(address: string): boolean {
    if (!ipaddr.isValid(address)) return false;
    const parsed = ipaddr.process(address);
    return this.#ranges.some(([range, bits]) =>
      range.kind() === parsed.kind() && parsed.match(range as never, bits)
    );
  }
}

/** An address, with or without brackets and a port, in its usual spelling; null for anything else. */
function readAddress(hop: string): string | null {
  const [, v6, v4] = /^\[([^\]]*)\](?::\d+)?$|^([\d.]+)(?::\d+)?$/.exec(hop) ?? [];
  const bare = v6 ?? v4 ?? hop;
  // No hexadecimal or octal numbers, and no zone, which is any text and means nothing to us.
  const isAddress = ipaddr.IPv4.isValidFourPartDecimal(bare) ||
    (!bare.includes("%") && ipaddr.IPv6.isValid(bare));
  return isAddress ? ipaddr.process(bare).toString() : null;
}
