import ipaddr from "ipaddr.js";

type Range = [ipaddr.IPv4 | ipaddr.IPv6, number];

/** The proxies that stand before the service, and are believed when they say for whom they ask. */
export class Proxies {
  readonly #ranges: Range[];

  /** @throws {Error} when one is neither an address nor a range of them, such as 10.0.0.0/8 */
  constructor(ranges: string[]) {
    this.#ranges = ranges.map((text) =>
      text.includes("/")
        ? ipaddr.parseCIDR(text) as Range
        : [ipaddr.process(text), ipaddr.process(text).kind() === "ipv4" ? 32 : 128]
    );
  }

  /**
   * Who asks: the other side of the connection, or, if that is a proxy of ours, the last in its
   * `Forwarded` (RFC 7239) or `X-Forwarded-For` that is none. What stands before that anyone may write.
   */
  addressOf(peer: string, headers: Headers): string {
    if (this.#ranges.length === 0) return peer;
    const hops = [...hopsOf(headers), peer];
    while (hops.length > 1 && this.#isOurs(hops.at(-1)!)) hops.pop();
    return hops.at(-1)!;
  }

  #isOurs(address: string): boolean {
    if (!ipaddr.isValid(address)) return false;
    const parsed = ipaddr.process(address);
    return this.#ranges.some(([range, bits]) =>
      range.kind() === parsed.kind() && parsed.match(range as never, bits)
    );
  }
}

function hopsOf(headers: Headers): string[] {
  const forwarded = headers.get("forwarded");
  if (forwarded === null) return split(headers.get("x-forwarded-for") ?? "").map(bare);
  return split(forwarded).map((hop) =>
    bare(/(?:^|;)\s*for=("[^"]*"|[^;\s]*)/i.exec(hop)?.[1]?.replaceAll('"', "") ?? "unknown")
  );
}

function split(list: string): string[] {
  return list.split(",").map((each) => each.trim()).filter((each) => each !== "");
}

/** Without the brackets and the port that it may have. */
function bare(address: string): string {
  const [, v6, v4] = /^\[(.*)\](?::\d+)?$|^([\d.]+):\d+$/.exec(address) ?? [];
  return v6 ?? v4 ?? address;
}
