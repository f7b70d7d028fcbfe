import { getLogger } from "@logtape/logtape";
import type { Clock } from "../clock.ts";
import { levelOf, StoreDownError, type StoreFault } from "../store/errors.ts";
import type { RoomStore } from "../store/room_store.ts";
import { json } from "./answers.ts";

const logger = getLogger(["tessera", "http"]);

/** A store that takes longer than this to answer, in ms, is of no use to an editor's user. */
const PATIENCE = 2_000;

/** What probes are told. More is for the log. */
const REASONS: Record<StoreFault, string> = {
  full: "the disk of the store is full",
  "read-only": "the store cannot be written",
  damaged: "the store is damaged",
  failing: "the store fails",
  silent: "the store does not answer",
};

/** Probes under way. Everybody may ask as often as they like, so those who ask at once share one. */
const probes = new WeakMap<RoomStore, Promise<unknown>>();

/** The process runs. */
export function live(): Response {
  return json({ status: "ok" });
}

/** The service can do its work: its store can be read and written. */
export async function ready(store: RoomStore, clock: Clock): Promise<Response> {
  const probe = probes.get(store) ??
    faultOf(store, clock, PATIENCE).finally(() => probes.delete(store));
  probes.set(store, probe);
  const fault = await probe;
  if (fault === null) return json({ status: "ok" });
  const reason = REASONS[fault instanceof StoreDownError ? fault.fault : "silent"];
  logger[levelOf(fault)]("not ready: {reason}: {error}", { reason, error: fault });
  return json({ status: "unavailable", reason }, { status: 503 });
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
