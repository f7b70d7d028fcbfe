import { AccessArchive } from "../access/archive.ts";
import { RoomRecords } from "../access/room_records.ts";
import { systemClock } from "../clock.ts";
import { DEFAULT_LIMITS } from "../limits/limits.ts";
import { recordsPrefix } from "../store/kv/access_layout.ts";
import { children } from "../store/kv/children.ts";
import { KvRoomStore } from "../store/kv/kv_room_store.ts";
import { roomPrefix } from "../store/kv/layout.ts";
import type { Place } from "./backup.ts";

/** Rooms in a KV store, for whoever runs the service: what was granted once counts against no quota. */
export function placeOn(kv: Deno.Kv): Place {
  const store = new KvRoomStore(kv);
  const limits = { ...DEFAULT_LIMITS, members: Infinity, bans: Infinity, roomsPerDid: Infinity };
  return { store, access: new AccessArchive(new RoomRecords(kv, store, systemClock, limits)) };
}

/** All rooms: those with a document, and those of which only is known who may do what. */
export async function* allRooms(kv: Deno.Kv): AsyncIterable<string> {
  yield* new KvRoomStore(kv).rooms();
  for await (const { part } of children(kv, recordsPrefix)) {
    const room = String(part);
    const document = kv.list({ prefix: roomPrefix(room) }, { limit: 1 });
    if ((await Array.fromAsync(document)).length === 0) yield room;
  }
}
