import * as Y from "yjs";
import { Histogram } from "../histogram.ts";
import { MeasuringWindow, percentiles } from "../measuring_window.ts";
import { eachOf, until } from "../pause.ts";
import { replay } from "../trace.ts";
import { Client } from "../wire/client.ts";
import { update } from "../wire/messages.ts";
import { type Scenario, whoSyncs } from "./scenario.ts";

const ROOM = "reconnect";
const CLIENTS = 1_000;

/** More handshakes at once and a server's backlog overflows. */
const AT_ONCE = 100;

/** In ms. */
const PATIENCE = 30_000;

/** All clients of a room come back, as after a restart of a proxy, and no two lack the same. */
export const reconnect: Scenario = {
  name: "reconnect",
  about: `${CLIENTS} clients come back to the automerge-paper document, ${AT_ONCE} at once, each ` +
    `with another part of it; ms are from opening a socket to having all`,
  isShort: false,
  headline: { metric: "p95 ms", better: "less" },
  suits: whoSyncs,
  async run({ start }) {
    const { doc, writers: [author] } = await replay("automerge-paper");
    const { id, edits } = author!;
    const end = edits.at(-1)!.clock;
    const server = await start();
    const writer = await Client.join(server, ROOM);
    writer.send(update(Y.encodeStateAsUpdate(doc)));
    const reader = await Client.join(server, ROOM);
    await until(() => reader.has(id, end), PATIENCE, () => "the paper did not come");

    const latency = new Histogram();
    let back = 0;
    const window = await MeasuringWindow.open(server, () => back);
    const seats = Array.from({ length: CLIENTS }, (_, n) => n);
    await eachOf(seats, AT_ONCE, async (n) => {
      const started = performance.now();
      const known = new Map([[id, Math.floor(n / CLIENTS * end)]]);
      const client = await Client.join(server, ROOM, { known });
      const { promise: isBack, resolve } = Promise.withResolvers<void>();
      client.onNews = () => client.has(id, end) && resolve();
      if (!client.has(id, end)) await isBack;
      latency.add(performance.now() - started);
      back++;
    });
    return { ...await window.close("clients"), ...percentiles(latency) };
  },
};
