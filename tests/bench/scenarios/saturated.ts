import { Crowd, type CrowdSize, type Writer } from "../crowd.ts";
import { MeasuringWindow, percentiles } from "../measuring_window.ts";
import { pause } from "../pause.ts";
import { everyone, type Scenario } from "./scenario.ts";

/** Enough to keep a server busy, and no more than a client's own window would hold. */
const IN_FLIGHT = 32;

/** In ms. Before it is measured, the JIT has seen the code; then it is long enough for the clock ticks. */
const TIMES = {
  short: { warmUp: 1_000, measure: 2_500 },
  long: { warmUp: 3_000, measure: 10_000 },
};

/** Every writer types as fast as the last reader of its room hears it. */
export function saturated(name: string, size: CrowdSize, isShort: boolean): Scenario {
  const { rooms, writers, readers } = size;
  return {
    name,
    about: `${rooms} x ${writers + readers} clients, ${writers} of them writing with ` +
      `${IN_FLIGHT} keystrokes in flight`,
    isShort,
    headline: { metric: "deliveries per CPU s", better: "more" },
    suits: everyone,
    async run({ form, start }) {
      const server = await start();
      const crowd = await Crowd.join(server, size);
      let typing = true;
      const type = (writer: Writer, heard: number) => {
        while (typing && writer.clock - heard < IN_FLIGHT) writer.type();
      };
      crowd.onDelivered = type;
      for (const writer of crowd.writers) type(writer, 0);

      await pause(TIMES[form].warmUp);
      crowd.latency.clear();
      const window = await MeasuringWindow.open(server, () => crowd.delivered);
      await pause(TIMES[form].measure);
      const metrics = await window.close("deliveries");
      typing = false;
      await crowd.settle();
      return { ...metrics, ...percentiles(crowd.latency) };
    },
  };
}
