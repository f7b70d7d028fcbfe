import { getLogger } from "@logtape/logtape";
import type { Clock } from "../../clock.ts";
import { type Unfinished, unfinishedPrefix } from "./layout.ts";
import { finish } from "./unfinished.ts";
import { levelOf } from "../errors.ts";

const logger = getLogger(["tessera", "store"]);

/** How long whoever began something has to finish it, in ms: nothing takes as long, unless he is dead. */
const GRACE = 10 * 60_000;

/** How often a running instance looks for what others have left, in ms. It reads what is unfinished, no more. */
const PERIOD = 10 * 60_000;

/**
 * Finishes what crashes have left unfinished, and resolves with how much that was. `now` is in ms since
 * the Unix epoch. Whoever is alive after all, and slow, finds out by a check that fails, and starts again.
 * What cannot be finished does not keep it from the rest.
 * @throws what the first failed with, once the rest is done
 */
export async function sweep(kv: Deno.Kv, now: number): Promise<number> {
  let finished = 0;
  const failures: unknown[] = [];
  for await (const entry of kv.list<Unfinished>({ prefix: unfinishedPrefix })) {
    // Or far in the future, where a clock has been set back.
    if (Math.abs(now - entry.value.since) < GRACE) continue;
    try {
      await finish(kv, entry);
      finished++;
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
  return finished;
}

/** Sweeps now and then. Returns a function that stops it. */
export function keepSweeping(kv: Deno.Kv, clock: Clock): () => void {
  let stop = () => {};
  const wait = () => {
    stop = clock.after(PERIOD, () => {
      wait();
      sweepOnce(kv, clock.now());
    });
  };
  wait();
  return () => stop();
}

async function sweepOnce(kv: Deno.Kv, now: number): Promise<void> {
  try {
    const finished = await sweep(kv, now);
    if (finished > 0) logger.info("finished {finished} things that a crash had left", { finished });
  } catch (error) {
    logger[levelOf(error)]("what crashes have left could not be swept: {error}", { error });
  }
}
