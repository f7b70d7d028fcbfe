import type { Socket as TcpSocket } from "node:net";
import type { Clock } from "../clock.ts";
import type { Limits } from "../limits/limits.ts";
import { Occupancy } from "../limits/occupancy.ts";
import { networkOf } from "../limits/rate_limit.ts";

/**
 * How long an answer may take, in ms: 10 s until there is one, and the rest until the client has read it.
 * The system's buffers take an ordinary answer at once.
 */
const ANSWER_MS = 60_000;
const CHECK_MS = 1_000;

/**
 * Requests on one connection that are not answered yet. Browsers and proxies send the next one after the
 * answer; each that is sent before costs 7 KB until its answer is read.
 */
const MAX_PIPELINED = 4;

interface Connection {
  tcp: TcpSocket;
  /** Null for a proxy: everybody is behind it. */
  network: string | null;
  /** Requests that are not answered yet. */
  pending: number;
  /** When the last answer was read, or else the first request came. */
  busySince: number;
}

export interface PlainConnectionsOptions {
  limits: Pick<Limits, "httpConnections" | "httpConnectionsPerAddress">;
  clock: Clock;
  isProxy(address: string): boolean;
}

/**
 * The connections of a listener that are no WebSockets. Where there are too many, the one that has been idle
 * for longest makes way, so that idle connections keep nobody out. One that does not read its answers is cut.
 */
export class PlainConnections {
  readonly #options: PlainConnectionsOptions;
  readonly #all = new Map<TcpSocket, Connection>();
  readonly #perNetwork = new Occupancy();
  /** Those without a request, the one that has been idle for longest first. */
  readonly #idle = new Set<Connection>();
  /** The others, by `busySince`. */
  readonly #busy = new Set<Connection>();
  #cancel = () => {};

  constructor(options: PlainConnectionsOptions) {
    this.#options = options;
    this.#keepChecking();
  }

  stop(): void {
    this.#cancel();
  }

  /** Takes a new connection, and destroys an idle one for it, or the new one if none is idle. */
  add(tcp: TcpSocket): void {
    const { limits, isProxy } = this.#options;
    const address = tcp.remoteAddress ?? "unknown";
    const network = isProxy(address) ? null : networkOf(address);
    const connection = { tcp, network, pending: 0, busySince: 0 };
    tcp.once("close", () => this.remove(tcp));
    this.#all.set(tcp, connection);
    if (network !== null) this.#perNetwork.enter(network);
    const isTooMany = network !== null &&
      this.#perNetwork.of(network) > limits.httpConnectionsPerAddress;
    if (isTooMany) this.#makeWay(connection, (other) => other.network === network);
    else if (this.#all.size > limits.httpConnections) this.#makeWay(connection, () => true);
    if (this.#all.has(tcp)) this.#idle.add(connection);
  }

  /** Call when a request has come. Returns whether to answer it; the connection is destroyed if not. */
  begin(tcp: TcpSocket): boolean {
    const connection = this.#all.get(tcp);
    if (connection === undefined) return false;
    if (connection.pending++ === 0) this.#becomeBusy(connection);
    if (connection.pending <= MAX_PIPELINED) return true;
    this.#destroy(connection);
    return false;
  }

  /** Call when an answer has been handed to the system. */
  end(tcp: TcpSocket): void {
    const connection = this.#all.get(tcp);
    if (connection === undefined) return;
    this.#busy.delete(connection);
    if (--connection.pending > 0) this.#becomeBusy(connection);
    else this.#idle.add(connection);
  }

  /** Forgets a connection: it has ended, or has become a WebSocket. */
  remove(tcp: TcpSocket): void {
    const connection = this.#all.get(tcp);
    if (connection === undefined) return;
    this.#all.delete(tcp);
    this.#idle.delete(connection);
    this.#busy.delete(connection);
    if (connection.network !== null) this.#perNetwork.leave(connection.network);
  }

  #becomeBusy(connection: Connection): void {
    connection.busySince = this.#options.clock.uptime();
    this.#idle.delete(connection);
    this.#busy.add(connection);
  }

  #makeWay(newest: Connection, isCandidate: (other: Connection) => boolean): void {
    for (const other of this.#idle) {
      if (isCandidate(other)) return this.#destroy(other);
    }
    this.#destroy(newest);
  }

  #destroy({ tcp }: Connection): void {
    this.remove(tcp);
    tcp.destroy();
  }

  #keepChecking(): void {
    this.#cancel = this.#options.clock.after(CHECK_MS, () => {
      const oldest = this.#options.clock.uptime() - ANSWER_MS;
      for (const connection of this.#busy) {
        if (connection.busySince > oldest) break;
        this.#destroy(connection);
      }
      this.#keepChecking();
    });
  }
}
