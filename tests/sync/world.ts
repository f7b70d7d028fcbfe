import * as Y from "yjs";
import type { PresenceRules } from "../../src/sync/room_presence.ts";
import type { Clock } from "../../src/clock.ts";
import type { RoomStore } from "../../src/store/room_store.ts";
import { DEFAULT_LIMITS, type Limits } from "../../src/limits/limits.ts";
import { Tally } from "../../src/observe/tally.ts";
import { Rooms } from "../../src/sync/rooms.ts";
import { FakeClock } from "../fake_clock.ts";
import { MemoryStore } from "./memory_store.ts";

export const LINGER = 60_000;
/** Time stands still in most tests: no rate would let anything through. */
const PRESENCE: PresenceRules = { maxState: 4_096, maxRate: Infinity, ofReaders: true };

/** Rooms of an instance, with nothing unusual about them unless it is said. */
export function roomsOn(
  store: RoomStore,
  clock: Clock,
  presence: Partial<PresenceRules> = {},
  limits: Partial<Limits> = {},
  portion?: number,
): Rooms {
  return new Rooms({
    store,
    clock,
    linger: LINGER,
    limits: { ...DEFAULT_LIMITS, ...limits },
    portion,
    tally: new Tally(),
    presence: { ...PRESENCE, ...presence },
  });
}

/** Rooms on a store and a clock that the test owns. */
export function world(presence: Partial<PresenceRules> = {}, limits: Partial<Limits> = {}) {
  const store = new MemoryStore();
  const clock = new FakeClock();
  return { store, clock, rooms: roomsOn(store, clock, presence, limits) };
}

/** Lets everything run that waits for nothing but its turn: the store here needs no more than that. */
export const settle = () => new Promise<void>((resolve) => setTimeout(resolve, 0));

/** Holds back every operation of one kind until it is opened. */
export function gate(store: MemoryStore, held: string) {
  const { promise, resolve } = Promise.withResolvers<void>();
  store.before = (operation) => operation === held ? promise : undefined;
  return { open: () => (store.before = () => {}, resolve()) };
}

/** What a newcomer reads in a room of another instance on the same store. */
export async function storedText(store: MemoryStore, room: string): Promise<string> {
  const doc = new Y.Doc();
  for (const update of await store.log(room).pull()) Y.applyUpdate(doc, update);
  return doc.getText("text").toString();
}
