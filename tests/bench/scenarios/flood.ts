import { Crowd } from "../crowd.ts";
import { percentiles } from "../measuring_window.ts";
import { pause } from "../pause.ts";
import { everyone, type Scenario } from "./scenario.ts";

const CALM_ROOMS = 20;
const FLOODERS = 10;

/** From one keystroke in the calm rooms to the next, in ms: each is typed in five times a second. */
const PERIOD = 200 / CALM_ROOMS;

/** How many keystrokes each flooder has in flight. */
const IN_FLIGHT = 200;

/** In ms. */
const MEASURE = { short: 4_000, long: 15_000 };

/** What people in calm rooms feel of ten clients that flood another room as fast as it takes it. */
export const flood: Scenario = {
  name: "flood",
  about:
    `${CALM_ROOMS} x 2 clients, one typing 5 characters a second; first alone, then beside a ` +
    `room that ${FLOODERS} writers flood with ${IN_FLIGHT} keystrokes in flight each`,
  isShort: false,
  headline: { metric: "p95 ms", better: "less" },
  suits: everyone,
  async run({ form, start }) {
    const server = await start();
    const calm = await Crowd.join(server, { rooms: CALM_ROOMS, writers: 1, readers: 1 });
    const typing = new AbortController();
    const typed = typeCalmly(calm, typing.signal);
    await pause(1_000);
    calm.latency.clear();
    await pause(MEASURE[form]);
    const alone = percentiles(calm.latency);

    const flooded = await Crowd.join(server, {
      rooms: 1,
      writers: FLOODERS,
      readers: 1,
      prefix: "flooded",
    });
    let flooding = true;
    flooded.onDelivered = (writer, heard) => {
      while (flooding && writer.clock - heard < IN_FLIGHT) writer.type();
    };
    for (const writer of flooded.writers) flooded.onDelivered(writer, 0);
    await pause(1_000);
    calm.latency.clear();
    const before = flooded.delivered;
    await pause(MEASURE[form]);
    const beside = percentiles(calm.latency);
    const rate = (flooded.delivered - before) / MEASURE[form] * 1_000;
    flooding = false;
    typing.abort();
    await typed;
    await Promise.all([calm.settle(), flooded.settle()]);
    return { ...prefixed("alone", alone), ...beside, "flood deliveries/s": rate };
  },
};

async function typeCalmly({ writers }: Crowd, stop: AbortSignal): Promise<void> {
  for (let n = 0; !stop.aborted; n++) {
    writers[n % writers.length]!.type();
    await pause(PERIOD);
  }
}

function prefixed(prefix: string, metrics: Record<string, number>): Record<string, number> {
  return Object.fromEntries(Object.entries(metrics).map(([name, n]) => [`${prefix} ${name}`, n]));
}
