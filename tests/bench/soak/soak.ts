import * as Y from "yjs";
import { DEV_TOKEN, getTicket } from "../../outside/clients.ts";
import { ServerProcess } from "../../outside/server_process.ts";
import { KvServer } from "../../real/kv_server.ts";
import { Chance } from "../../sim/chance.ts";
import { TestPeer } from "../../sync/test_peer.ts";
import { Histogram } from "../histogram.ts";

/** A room for so many sockets. */
const SOCKETS_A_ROOM = 10;

/** One socket in so many takes nothing, and one sends rubbish. */
const ODD_ONE_IN = 100;

export interface SoakOptions {
  /** Where the KV server's program is. */
  program: string;
  sockets: number;
  /** In ms. */
  duration: number;
  /** Each socket does something so often, in ms. */
  pace: number;
  /** Called with what is going on. */
  say(words: string): void;
}

/** What came of a soak. */
export interface SoakReport {
  edits: number;
  acknowledged: number;
  /** Acknowledged words that are not in the store. */
  missing: string[];
  /** Lines of the servers' logs that say that something went wrong which nobody foresaw. */
  errors: string[];
  reconnects: number;
  /** From an edit to its acknowledgement, in ms, without those that a stall or a restart held up. */
  p50: number;
  p99: number;
  /** Memory of the process after the restart: at first, at last, and its slope, in MB and MB a minute. */
  rss: { first: number; last: number; slope: number };
  /** What all documents come to at the end, as updates, in MB: memory holds some times that. */
  documents: number;
}

/** A client that comes back whenever its line is closed, and writes words of its own. */
class Soaker {
  readonly doc = new Y.Doc();
  /** Words that are known to be stored. */
  readonly acknowledged: string[] = [];
  edits = 0;
  connects = 0;
  #peer: TestPeer | null = null;
  #words: string[] = [];
  #probe = 0;

  constructor(
    readonly name: string,
    readonly room: string,
    private readonly world: World,
  ) {}

  /** Does one of the things that people do. */
  async act(chance: Chance): Promise<void> {
    if (this.#peer === null || this.#peer.closed !== null) return await this.#connect();
    if (chance.once(30)) return this.#hangUp();
    if (chance.once(3)) {
      this.#peer.awareness.setLocalState({ name: this.name, at: chance.below(1_000) });
      return this.#peer.announce();
    }
    await this.#edit(this.#peer);
  }

  #hangUp(): void {
    this.#peer?.leave();
    this.#peer = null;
  }

  async #connect(): Promise<void> {
    const { url, socketUrl } = this.world.server();
    try {
      const ticket = await getTicket(url, `did:web:${this.name}.example`, this.room);
      const socket = new WebSocket(`${socketUrl}/sync/${this.room}`, ["authorization", ticket]);
      await new Promise((resolve, reject) => {
        socket.onopen = resolve;
        socket.onerror = reject;
      });
      const peer = new TestPeer(`did:web:${this.name}.example`);
      Y.applyUpdate(peer.doc, Y.encodeStateAsUpdate(this.doc)); // what it has not saved comes up
      peer.doc.on("update", (update) => Y.applyUpdate(this.doc, update));
      this.#peer = peer.joinOver(socket);
      this.connects++;
    } catch {
      this.#peer = null; // restarting: it comes again
    }
  }

  /** Writes a word, and waits until it is told that it is stored, or is cut off. */
  async #edit(peer: TestPeer): Promise<void> {
    const word = `${this.name}-${this.edits++}`;
    this.#words.push(word);
    peer.doc.getArray("words").push([word]);
    this.#probe = (this.#probe + 1) % 250;
    const [probe, before] = [this.#probe, [...this.#words]];
    peer.heard.length = 0;
    const begun = performance.now();
    peer.probe(probe);
    await Promise.race([peer.hears(`ack ${probe}`), peer.isClosed()]);
    if (!peer.heard.includes(`ack ${probe}`)) return;
    if (!this.world.troubled(begun)) this.world.latency.add(performance.now() - begun);
    this.acknowledged.push(...before);
    this.#words = [];
  }

  leave(): void {
    this.#hangUp();
  }
}

/** What the soakers share. */
interface World {
  server(): { url: string; socketUrl: string };
  /** Whether the store stalled, or the server restarted, since then. */
  troubled(since: number): boolean;
  latency: Histogram;
}

/** Opens a socket that takes nothing, or sends rubbish, again and again. */
async function misbehave(world: World, chance: Chance, n: number, over: () => boolean) {
  while (!over()) {
    const { url } = world.server();
    const ticket = await getTicket(url, `did:web:odd${n}.example`, "room0").catch(() => undefined);
    using line = await Deno.connect({ hostname: "127.0.0.1", port: Number(new URL(url).port) })
      .catch(() => null);
    if (line === null || ticket === undefined) {
      await pause(1_000);
      continue;
    }
    const handshake = [
      "GET /sync/room0 HTTP/1.1",
      ...["host: localhost", "connection: Upgrade", "upgrade: websocket"],
      ...["sec-websocket-version: 13", "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ=="],
      ...[`sec-websocket-protocol: authorization, ${ticket}`, "", ""],
    ];
    try {
      await line.write(new TextEncoder().encode(handshake.join("\r\n")));
      // Step 1, or whatever: a frame whose mask is zero.
      const payload = n % 2 === 0 ? [0, 0, 1, 0] : [chance.below(256), chance.below(256)];
      await line.write(new Uint8Array([0x82, 0x80 | payload.length, 0, 0, 0, 0, ...payload]));
    } catch {
      // It was closed on the way.
    }
    await pause(5_000); // and reads nothing
  }
}

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Many clients for a long time, some odd ones, a store that stalls twice, and a restart in the middle. */
export async function soak(
  { program, sockets, duration, pace, say }: SoakOptions,
): Promise<SoakReport> {
  await using kv = await KvServer.start(program);
  const start = () =>
    ServerProcess.start({
      ...kv.env,
      UNSAFE_DEV_TOKEN: DEV_TOKEN,
      LOG_LEVEL: "info",
      METRICS_PORT: "0",
      REQUESTS_PER_ADDRESS: "1000000000",
      MAX_REQUESTS_PER_ADDRESS: "1000000000",
      MAX_CONNECTIONS_PER_ADDRESS: "1000000000",
    });
  let server = await start();
  const servers = [server];
  const [, firstPort] = /metrics are at port (\d+)/.exec(server.log.join("\n"))!;
  let metricsPort = firstPort;
  let trouble = -Infinity;
  const world: World = {
    server: () => server,
    troubled: (since) => trouble >= since,
    latency: new Histogram(),
  };
  const chance = new Chance(1);
  const soakers = Array.from(
    { length: sockets },
    (_, n) => new Soaker(`s${n}`, `room${Math.floor(n / SOCKETS_A_ROOM)}`, world),
  );
  const begun = performance.now();
  const passed = () => performance.now() - begun;
  const over = () => passed() > duration;

  const living = soakers.map(async (soaker) => {
    await pause(chance.below(pace * 2));
    while (!over()) {
      await soaker.act(chance);
      await pause(pace / 2 + chance.below(pace));
    }
  });
  const odd = Array.from(
    { length: Math.ceil(sockets * 2 / ODD_ONE_IN) },
    (_, n) => misbehave(world, chance, n, over),
  );
  const samples: { minutes: number; mb: number }[] = [];
  const watching = (async () => {
    while (!over()) {
      await pause(1_000);
      const answer = await fetch(`http://localhost:${metricsPort}/metrics`).catch(() => null);
      const [, bytes] = /^process_resident_memory_bytes (\S+)$/m.exec(await answer?.text() ?? "") ??
        [];
      if (bytes === undefined) continue;
      samples.push({ minutes: passed() / 60_000, mb: Number(bytes) / 2 ** 20 });
    }
  })();

  for (const at of [0.25, 0.75]) {
    const isLast = at === 0.75;
    await pause(Math.max(0, duration * at - passed()));
    say("the store stalls for five seconds");
    kv.stall();
    await pause(5_000);
    kv.goOn();
    trouble = performance.now() + 2_000;
    if (isLast) continue;
    await pause(Math.max(0, duration * 0.5 - passed()));
    say("the server restarts");
    const code = await server.stop();
    if (code !== 0) say(`it stopped with ${code}`);
    samples.length = 0;
    server = await start();
    servers.push(server);
    metricsPort = /metrics are at port (\d+)/.exec(server.log.join("\n"))![1]!;
    trouble = performance.now() + 2_000;
  }
  await Promise.all([...living, ...odd, watching]);
  for (const soaker of soakers) soaker.leave();

  say("what is stored is held against what was acknowledged");
  const missing: string[] = [];
  let bytes = 0;
  for (let n = 0; n < sockets; n += SOCKETS_A_ROOM) {
    const inRoom = soakers.slice(n, n + SOCKETS_A_ROOM);
    const { room } = inRoom[0]!;
    const judge = new TestPeer(`did:web:judge${n}.example`); // one would come too often
    const ticket = await getTicket(server.url, judge.did, room);
    const socket = new WebSocket(`${server.socketUrl}/sync/${room}`, ["authorization", ticket]);
    await new Promise((resolve, reject) => {
      socket.onopen = resolve;
      socket.onerror = reject;
    });
    judge.joinOver(socket);
    await judge.hears("step2");
    bytes += Y.encodeStateAsUpdate(judge.doc).length;
    const words = new Set(judge.doc.getArray<string>("words").toArray());
    missing.push(
      ...inRoom.flatMap(({ acknowledged }) => acknowledged).filter((word) => !words.has(word)),
    );
    judge.leave();
  }
  await server.stop();
  const sum = (read: (soaker: Soaker) => number) =>
    soakers.reduce((all, soaker) => all + read(soaker), 0);
  return {
    edits: sum(({ edits }) => edits),
    acknowledged: sum(({ acknowledged }) => acknowledged.length),
    missing,
    errors: servers.flatMap(({ log }) => log)
      .filter((line) => /"level":"(ERROR|FATAL)"|Uncaught|unhandled/i.test(line)),
    reconnects: sum(({ connects }) => connects) - sockets,
    p50: world.latency.percentile(0.5),
    p99: world.latency.percentile(0.99),
    rss: trend(samples.slice(samples.length >> 2)),
    documents: bytes / 2 ** 20,
  };
}

/** Least squares. */
function trend(samples: { minutes: number; mb: number }[]): SoakReport["rss"] {
  const mean = (read: (sample: { minutes: number; mb: number }) => number) =>
    samples.reduce((sum, sample) => sum + read(sample), 0) / samples.length;
  const [x, y] = [mean(({ minutes }) => minutes), mean(({ mb }) => mb)];
  const slope = mean(({ minutes, mb }) => (minutes - x) * (mb - y)) /
    mean(({ minutes }) => (minutes - x) ** 2);
  return { first: samples[0]?.mb ?? NaN, last: samples.at(-1)?.mb ?? NaN, slope };
}
