import { getLogger } from "@logtape/logtape";
import type { Clock } from "../clock.ts";
import type { RoomStore } from "../store/room_store.ts";
import { json } from "./answers.ts";

const logger = getLogger(["tessera", "http"]);

/** A store that takes longer than this to answer, in ms, is of no use to an editor's user. */
const PATIENCE = 2_000;

/** The process runs. */
export function live(): Response {
  return json({ status: "ok" });
}

/** The service can do its work: its store answers. */
export async function ready(store: RoomStore, clock: Clock): Promise<Response> {
  const fault = await faultOf(store, clock, PATIENCE);
  if (fault === null) return json({ status: "ok" });
  logger.warn("not ready: the store does not answer: {error}", { error: fault });
  return json({ status: "unavailable", reason: "the store does not answer" }, { status: 503 });
}

/** Why the store does not answer within `patience` ms; null when it does. */
export async function faultOf(
  store: RoomStore,
  clock: Clock,
  patience: number,
): Promise<unknown> {
  let cancel = () => {};
  const late = new Promise<unknown>((resolve) => {
    cancel = clock.after(patience, () => resolve(new Error("no answer in time")));
  });
  const fault = await Promise.race([store.ping().then(() => null, (error) => error), late]);
  cancel();
  return fault;
}
