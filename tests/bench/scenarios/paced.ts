import { Crowd, type CrowdSize } from "../crowd.ts";
import { MeasuringWindow, percentiles } from "../measuring_window.ts";
import { pause } from "../pause.ts";
import { everyone, type Form, type Scenario } from "./scenario.ts";

/** How fast each writer types, and for how long. All in ms. */
export interface Pace {
  /** From one keystroke of a writer to its next. */
  period: number;
  warmUp: number;
  measure: Record<Form, number>;
}

/** Every writer types at its own pace, whatever the server does; they take turns, evenly. */
export function paced(name: string, size: CrowdSize, pace: Pace, isShort: boolean): Scenario {
  const { rooms, writers, readers } = size;
  return {
    name,
    about: `${rooms} x ${writers + readers} clients, ${writers} of them typing a character each ` +
      `${pace.period} ms`,
    isShort,
    headline: { metric: "CPU us per deliveries", better: "less" },
    suits: everyone,
    async run({ form, start }) {
      const server = await start();
      const crowd = await Crowd.join(server, size);
      const typing = new AbortController();
      const typed = typeInTurn(crowd, pace.period, typing.signal);

      await pause(pace.warmUp);
      crowd.latency.clear();
      const window = await MeasuringWindow.open(server, () => crowd.delivered);
      await pause(pace.measure[form]);
      const metrics = await window.close("deliveries");
      typing.abort();
      await typed;
      await crowd.settle();
      return { ...metrics, ...percentiles(crowd.latency) };
    },
  };
}

async function typeInTurn(
  { writers }: Crowd,
  period: number,
  stop: AbortSignal,
): Promise<void> {
  const start = performance.now();
  for (let n = 0; !stop.aborted; n++) {
    const due = start + n * period / writers.length;
    const early = due - performance.now();
    if (early > 0) await pause(early);
    writers[n % writers.length]!.type();
  }
}
