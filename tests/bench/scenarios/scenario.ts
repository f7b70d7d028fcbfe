import type { Contender, Running, Start } from "../contenders/contender.ts";

/** The short form is for a look, the long one for the record. */
export type Form = "short" | "long";

/** What was measured, by names that carry their units. */
export type Metrics = Record<string, number>;

/** What a scenario runs on. */
export interface Stage {
  form: Form;
  contender: Contender;
  /** Starts the contender, always on the same folder. */
  start(options?: Omit<Start, "folder">): Promise<Running>;
}

/** Something to measure. */
export interface Scenario {
  name: string;
  about: string;
  /** Whether `deno task bench` runs it when nothing else is said. */
  isShort: boolean;
  /** The metric that contenders are compared by, and which way is better. */
  headline: { metric: string; better: "more" | "less" };
  /** Whether it makes sense for a contender. */
  suits(contender: Contender): boolean;
  /** @throws when anything was lost, or did not arrive: then there is nothing to compare. */
  run(stage: Stage): Promise<Metrics>;
}

/** Every contender can be in. */
export const everyone = () => true;
/** Those that keep documents. */
export const whoSyncs = ({ syncs }: Contender) => syncs;
