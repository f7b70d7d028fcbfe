/**
 * Measures how a server fares while another thread attacks it: the memory of its process, and how long
 * an edit in a room of its own, the calm room, takes from one client to another. A thread of its own,
 * so that the work of attacking does not count. It also ends a server that takes too much memory.
 */
import { plain } from "../bench/wire/dialect.ts";
import { Client } from "../bench/wire/client.ts";
import { FIRST_WRITER, keystroke } from "../bench/wire/messages.ts";

/** An edit of the calm room each so many ms. */
const PACE_MS = 20;

/** How long to wait for edits that are still under way when a measurement ends, in ms. */
const PATIENCE_MS = 30_000;

/** The server is killed above this, in MB: the attacks are made for a machine that others use too. */
const KILL_ABOVE_MB = 2_500;

/** What the worker is told to watch. */
export interface Watched {
  pid: number;
  url: string;
  did: string;
  token: string;
}

/** How a server fared. Times in ms, memory in MB. */
export interface Measured {
  /** The largest resident set. */
  peak: number;
  /** The resident set at the end. */
  rss: number;
  /** Edits in the calm room, and how long they took from the moment at which they were due. */
  edits: number;
  p50: number;
  p99: number;
  max: number;
  /** How much CPU time the server's main thread used meanwhile, at p99. A busy machine does not change it. */
  cpu: number;
  /** Edits that never arrived, and why a client of the calm room was disconnected, if it was. */
  lost: number;
  fault: string | null;
  /** How late this thread itself was, at p99: what the machine adds. */
  noise: number;
}

const scope = self as unknown as {
  onmessage: ((event: MessageEvent) => void) | null;
  postMessage(message: unknown): void;
};

let watched: Watched;
let writer: Client;
let reader: Client;
let clock = 0;
/** When each edit was due, and the server's CPU time then, by the edit's clock. */
const due = new Map<number, { at: number; cpu: number }>();
let latencies: number[] = [];
let cpuTimes: number[] = [];
let lateness: number[] = [];
let nextAt = 0;
/** The largest resident set of a process that had to be killed, in MB. */
let killedAt: number | null = null;

async function join(): Promise<Client> {
  const { url, did, token } = watched;
  return await Client.join({
    dialect: plain,
    address: (room) => ({
      url: `${url.replace("http", "ws").replace("localhost", "127.0.0.1")}/sync/as/${did}/${room}`,
      protocols: ["authorization", token],
    }),
  }, "calm");
}

async function begin(about: Watched): Promise<void> {
  watched = about;
  writer = await join();
  reader = await join();
  reader.onNews = (_writer, from, to) => {
    const [now, cpu] = [performance.now(), mainThreadCpu()];
    for (let n = from; n < to; n++) {
      const sent = due.get(n)!;
      latencies.push(now - sent.at);
      cpuTimes.push(cpu - sent.cpu);
      due.delete(n);
    }
  };
  nextAt = performance.now();
  setInterval(() => {
    const now = performance.now();
    lateness.push(Math.max(0, now - nextAt));
    due.set(clock, { at: now, cpu: mainThreadCpu() });
    writer.send(keystroke(FIRST_WRITER, clock++));
    nextAt = now + PACE_MS;
  }, PACE_MS);
  setInterval(() => {
    const resident = memory("VmRSS");
    if (resident < KILL_ABOVE_MB || killedAt !== null) return;
    killedAt = resident;
    Deno.kill(watched.pid, "SIGKILL");
  }, 50);
}

function memory(field: "VmRSS" | "VmHWM"): number {
  try {
    const status = Deno.readTextFileSync(`/proc/${watched.pid}/status`);
    return Number(new RegExp(`${field}:\\s+(\\d+) kB`).exec(status)?.[1] ?? 0) / 1024;
  } catch {
    return 0; // the process has ended
  }
}

/** Milliseconds that the main thread has run: https://docs.kernel.org/scheduler/sched-stats.html */
function mainThreadCpu(): number {
  try {
    return Number(Deno.readTextFileSync(`/proc/${watched.pid}/schedstat`).split(" ")[0]) / 1e6;
  } catch {
    return 0; // the process has ended
  }
}

function reset(): void {
  latencies = [];
  cpuTimes = [];
  lateness = [];
  // Resets VmHWM: https://man7.org/linux/man-pages/man5/proc_pid_clear_refs.5.html
  Deno.writeTextFileSync(`/proc/${watched.pid}/clear_refs`, "5");
}

async function report(): Promise<Measured> {
  const last = clock - 1;
  const end = performance.now() + PATIENCE_MS;
  const isWaiting = () =>
    (writer.fault ?? reader.fault) === null && [...due.keys()].some((n) => n <= last);
  while (isWaiting() && performance.now() < end && memory("VmRSS") > 0) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  const lost = [...due].filter(([n]) => n <= last);
  const now = performance.now();
  const all = [...latencies, ...lost.map(([, { at }]) => now - at)].sort((a, b) => a - b);
  return {
    peak: killedAt ?? memory("VmHWM"),
    rss: memory("VmRSS"),
    edits: all.length,
    p50: quantile(all, 0.5),
    p99: quantile(all, 0.99),
    max: all.at(-1) ?? 0,
    cpu: quantile(cpuTimes.toSorted((a, b) => a - b), 0.99),
    lost: lost.length,
    fault: writer.fault ?? reader.fault,
    noise: quantile(lateness.toSorted((a, b) => a - b), 0.99),
  };
}

function quantile(sorted: number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

scope.onmessage = async ({ data }) => {
  try {
    if (data.begin) await begin(data.begin);
    if (data.reset) reset();
    scope.postMessage(data.report ? await report() : null);
  } catch (error) {
    scope.postMessage({ failed: String(error) });
  }
};
