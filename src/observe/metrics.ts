import type { Clock } from "../clock.ts";
import {
  AggregatorRegistry,
  Counter,
  Gauge,
  Histogram,
  type MetricObjectWithValues,
  Registry,
} from "prom-client";
import type { Counts, Tally } from "./tally.ts";

/** How often it is measured how late the event loop is, in ms. */
const LAG_PERIOD = 500;

/** In seconds: a commit to a file takes a millisecond, one to a server far away fifty. */
const COMMIT_BUCKETS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const BATCH_BUCKETS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000];
const LAG_BUCKETS = [0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5];

/** What there is at the moment that somebody asks. */
export interface Census {
  storeIsDown: boolean;
  connections: number;
  rooms: number;
  /** Peers that are behind, since they take less than there is for them. */
  slowPeers: number;
  /** Messages that wait for a commit. */
  waiting: number;
}

/** Metrics in the form of one process, to be added to those of others. */
export type MetricValues = MetricObjectWithValues<never>[];

/**
 * What a service tells of itself, for Prometheus (https://prometheus.io/docs/practices/naming/). Never
 * by DID, room or address: there is no end of those.
 */
export class Metrics {
  readonly #registry = new Registry();
  readonly #stopMeasuring: () => void;

  constructor(tally: Tally, census: () => Census, clock: Clock) {
    const registers = [this.#registry];
    const count = (name: string, help: string, read: () => number) =>
      new Counter({
        name: `tessera_${name}_total`,
        help,
        registers,
        collect() {
          this.reset();
          this.inc(read());
        },
      });
    const countBy = (name: string, help: string, label: string, counts: Counts) =>
      new Counter({
        name: `tessera_${name}_total`,
        help,
        labelNames: [label],
        registers,
        collect() {
          this.reset();
          for (const [kind, times] of counts) this.inc({ [label]: kind }, times);
        },
      });
    const gauge = (
      name: string,
      help: string,
      read: () => number,
      aggregator: "sum" | "first" = "sum",
    ) =>
      new Gauge({
        name,
        help,
        registers,
        aggregator,
        collect() {
          this.set(read());
        },
      });
    const histogram = (name: string, help: string, buckets: number[]) =>
      new Histogram({ name: `tessera_${name}`, help, buckets, registers });

    gauge("tessera_connections", "Open sockets", () => census().connections);
    gauge("tessera_rooms", "Rooms in memory", () => census().rooms);
    gauge("tessera_slow_peers", "Peers that are behind", () => census().slowPeers);
    gauge("tessera_waiting_messages", "Messages that wait for a commit", () => census().waiting);
    gauge(
      "tessera_store_down",
      "1 while the store fails, is full or damaged, or cannot be written for another reason",
      () => census().storeIsDown ? 1 : 0,
    );
    count("connections_opened", "Sockets that were opened", () => tally.opened);
    countBy("connections_closed", "Sockets that were closed", "code", tally.closed);
    count("messages_received", "Messages from clients", () => tally.received);
    count("received_bytes", "Bytes of messages from clients", () => tally.receivedBytes);
    count("messages_sent", "Messages to clients", () => tally.sent);
    count("sent_bytes", "Bytes of messages to clients", () => tally.sentBytes);
    count("updates", "Updates of documents that were taken", () => tally.updates);
    count("updates_refused", "Updates that were refused", () => tally.refusedUpdates);
    count("store_failures", "Times that the store failed", () => tally.storeFailures);
    countBy("store_faults", "Calls of the store that failed, by why", "fault", tally.storeFaults);
    countBy("http_responses", "Answers to requests", "status", tally.answers);
    countBy(
      "errors",
      "Requests that were refused, by the name of the error",
      "error",
      tally.errors,
    );
    countBy("limits_hit", "Times that a limit was hit", "limit", tally.limits);
    count("tickets_issued", "Tickets that were issued", () => tally.ticketsIssued);
    count("tickets_redeemed", "Tickets that were redeemed", () => tally.ticketsRedeemed);
    countBy("did_documents", "DID documents, by what the cache had", "cache", tally.documents);
    const memory = (read: (usage: Deno.MemoryUsage) => number) => () => read(Deno.memoryUsage());
    gauge(
      "process_resident_memory_bytes",
      "Memory of the process",
      memory(({ rss }) => rss),
      "first", // workers share it
    );
    gauge("tessera_heap_bytes", "Heap in use", memory(({ heapUsed }) => heapUsed));
    tally.commitTime = histogram("commit_duration_seconds", "Commits", COMMIT_BUCKETS);
    tally.batchSize = histogram("commit_updates", "Updates a commit", BATCH_BUCKETS);
    const lag = histogram("event_loop_lag_seconds", "How late timers are", LAG_BUCKETS);
    this.#stopMeasuring = measureLag(clock, (seconds) => lag.observe(seconds));
  }

  /** In Prometheus' text format. */
  async text(): Promise<string> {
    return await this.#registry.metrics();
  }

  async values(): Promise<MetricValues> {
    return await this.#registry.getMetricsAsJSON() as MetricValues;
  }

  stop(): void {
    this.#stopMeasuring();
  }
}

/** The metrics of several threads of a process, as those of one, in Prometheus' text format. */
export async function addUp(each: MetricValues[]): Promise<string> {
  return await AggregatorRegistry.aggregate(each).metrics();
}

function measureLag(clock: Clock, observe: (seconds: number) => void): () => void {
  let cancel = () => {};
  const measure = () => {
    const due = clock.uptime() + LAG_PERIOD;
    cancel = clock.after(LAG_PERIOD, () => {
      observe(Math.max(0, clock.uptime() - due) / 1_000);
      measure();
    });
  };
  measure();
  return () => cancel();
}
