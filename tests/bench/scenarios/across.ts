import { findKvServer, KvServer } from "../../real/kv_server.ts";
import { Writer } from "../crowd.ts";
import { Histogram } from "../histogram.ts";
import { MeasuringWindow, percentiles } from "../measuring_window.ts";
import { pause, until } from "../pause.ts";
import { Client } from "../wire/client.ts";
import { FIRST_WRITER } from "../wire/messages.ts";
import type { Scenario } from "./scenario.ts";

const ROOMS = 20;

/** From one keystroke to the next, in ms: all rooms together, each is typed in five times a second. */
const PERIOD = 200 / ROOMS;

/** In ms. */
const WARM_UP = 3_000;
const MEASURE = { short: 5_000, long: 20_000 };
const PATIENCE = 10_000;

/** What a reader feels who is on another instance than the writer, through a real KV server. */
export const across: Scenario = {
  name: "across",
  about:
    `${ROOMS} rooms, one typing 5 characters a second in each at one process, and one reading ` +
    "at another; both on one denokv",
  isShort: false,
  headline: { metric: "p95 ms", better: "less" },
  suits: ({ name }) => name === "tessera",
  async run({ form, start }) {
    const program = await findKvServer();
    if (program === null) throw new Error("no denokv here: cargo install denokv --locked");
    await using kv = await KvServer.start(program);
    const [here, there] = [await start({ env: kv.env }), await start({ env: kv.env })];
    const latency = new Histogram();
    let delivered = 0;
    const rooms = await Promise.all(Array.from({ length: ROOMS }, async (_, n) => {
      const writer = new Writer(FIRST_WRITER, await Client.join(here, `across-${n}`));
      const reader = await Client.join(there, `across-${n}`);
      reader.onNews = (_, from, to) => {
        delivered += to - from;
        const now = performance.now();
        for (let clock = from; clock < to; clock++) latency.add(now - writer.sentAt(clock));
      };
      return { writer, reader };
    }));
    const stop = new AbortController();
    const typed = (async () => {
      for (let n = 0; !stop.signal.aborted; n++) {
        rooms[n % ROOMS]!.writer.type();
        await pause(PERIOD);
      }
    })();
    await pause(WARM_UP);
    latency.clear();
    const window = await MeasuringWindow.open(there, () => delivered);
    await pause(MEASURE[form]);
    const metrics = await window.close("deliveries");
    stop.abort();
    await typed;
    await until(
      () => rooms.every(({ writer, reader }) => reader.has(FIRST_WRITER, writer.clock)),
      PATIENCE,
      () => "not all has arrived at the other instance",
    );
    return { ...metrics, ...percentiles(latency) };
  },
};
