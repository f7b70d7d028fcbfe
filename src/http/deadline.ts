import { getLogger } from "@logtape/logtape";
import type { Clock } from "../clock.ts";
import { Refusal } from "../refusal.ts";
import { StoreDownError } from "../store/errors.ts";
import type { RoomStore } from "../store/room_store.ts";
import { faultOf } from "./health.ts";
import type { Exchange } from "./exchange.ts";

const logger = getLogger(["tessera", "http"]);

/** A request is answered by then, in ms: whoever waits for longer has given up, and asks again. */
const DEADLINE = 10_000;

/** How long a store may take to show that it is there, in ms, when something has failed. */
const SIGN_OF_LIFE = 500;

/** When to come back, in seconds. */
const RETRY = 5;

/** What is found out about a request in time. @throws {Refusal} StoreUnavailable */
export async function inTime(
  exchange: Exchange,
  clock: Clock,
  answer: () => Promise<Response>,
): Promise<Response> {
  let cancel = () => {};
  const late = new Promise<never>((_, reject) => {
    cancel = clock.after(DEADLINE, () => {
      exchange.isOver = true;
      exchange.onOver();
      reject(noAnswer());
    });
  });
  try {
    return await Promise.race([answer(), late]);
  } finally {
    cancel();
  }
}

/** Nothing else takes so long. */
export function noAnswer(): Refusal {
  const words = "What is stored cannot be reached just now. Come back soon.";
  return new Refusal("StoreUnavailable", 503, words, { retryAfter: RETRY });
}

/** An error that nobody foresaw is that of a store that does not answer, if it does not. */
export async function blame(error: unknown, store: RoomStore, clock: Clock): Promise<unknown> {
  if (error instanceof Refusal) return error;
  if (error instanceof StoreDownError) return noAnswer();
  if (await faultOf(store, clock, SIGN_OF_LIFE) === null) return error;
  logger.warn("a request failed, and the store does not answer: {error}", { error });
  return noAnswer();
}
