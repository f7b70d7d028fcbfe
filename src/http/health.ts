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
  let cancel = () => {};
  const late = new Promise<never>((_, reject) => {
    cancel = clock.after(PATIENCE, () => reject(new Error("no answer in time")));
  });
  try {
    await Promise.race([store.ping(), late]);
    return json({ status: "ok" });
  } catch (error) {
    logger.warn("not ready: the store does not answer: {error}", { error });
    return json({ status: "unavailable", reason: "the store does not answer" }, { status: 503 });
  } finally {
    cancel();
  }
}
