import { Refusal } from "../refusal.ts";
import { pendingKey, roomsOfKey } from "../store/kv/access_layout.ts";
import { roomNameFault } from "../sync/room_name.ts";
import type { Role } from "./policy.ts";
import type { Change, RoomRecord, StoredMember } from "./room_records.ts";

/** A room as it is listed for somebody. */
export interface ListedRoom {
  room: string;
  role: Role;
  /** The role is an offer that was not accepted yet, and the room's name is somebody else's words. */
  pending?: true;
  /** Who offers it. */
  by?: string;
}

/** A page of a list. */
export interface Page<T> {
  items: T[];
  /** Where the next one begins; undefined at the end. */
  cursor?: string;
}

/** An offer in somebody's list. */
interface PendingRoom {
  role: Role;
  by: string;
  /** In ms since the Unix epoch. */
  at: number;
}

/** Begins the cursors of what is pending. No room's name has a control character. */
const PENDING = "\u0001";

/**
 * The rooms of each DID: those that it owns or has joined, and apart from them those that others have
 * offered it. What others do never fails for want of place in somebody's list, nor fills it: of too
 * many offers, the oldest of whoever has made most of them is listed no more.
 */
export class RoomLists {
  /** `maxPending` is how many offers are listed for one DID. */
  constructor(private readonly kv: Deno.Kv, private readonly maxPending: number) {}

  /** What is to be committed for a room to be listed as it stands for a DID that does not own it. */
  async sets(
    record: RoomRecord,
    room: string,
    did: string,
    member: StoredMember | null,
    now: number,
  ): Promise<Change["sets"]> {
    const joined = member?.pending ? undefined : member?.role;
    const offered = record.offeredTo === did ? "owner" : member?.pending && member.role;
    const entry: PendingRoom | undefined = offered && { role: offered, by: record.owner, at: now };
    return [
      { key: roomsOfKey(did, room), value: joined },
      ...entry === undefined ? [] : await this.#displaced(did, room),
      { key: pendingKey(did, room), value: entry },
    ];
  }

  /** By name, and at the end what is pending; those after `cursor`. @throws {Refusal} InvalidRequest */
  async list(did: string, limit: number, cursor = ""): Promise<Page<ListedRoom>> {
    const isPending = cursor.startsWith(PENDING);
    const after = isPending ? cursor.slice(PENDING.length) : cursor;
    if (after !== "" && roomNameFault(after) !== null) throw invalidCursor();
    const own = isPending ? [] : await this.#page<Role>(roomsOfKey, did, limit, after);
    const items: ListedRoom[] = own.map(({ room, value }) => ({ room, role: value }));
    if (items.length === limit) return { items, cursor: items.at(-1)!.room };
    const left = limit - items.length;
    const offers = await this.#page<PendingRoom>(pendingKey, did, left, isPending ? after : "");
    for (const { room, value: { role, by } } of offers) {
      items.push({ room, role, pending: true, by });
    }
    return { items, ...items.length === limit && { cursor: PENDING + items.at(-1)!.room } };
  }

  async #page<T>(
    keyOf: (did: string, ...room: string[]) => Deno.KvKey,
    did: string,
    limit: number,
    after: string,
  ): Promise<{ room: string; value: T }[]> {
    const prefix = keyOf(did);
    const selector = after === "" ? { prefix } : { prefix, start: keyOf(did, `${after}\0`) };
    return await Array.fromAsync(
      this.kv.list<T>(selector, { limit }),
      ({ key, value }) => ({ room: String(key.at(-1)), value }),
    );
  }

  /** The offers that one more displaces. */
  async #displaced(did: string, room: string): Promise<Change["sets"]> {
    const entries = await Array.fromAsync(this.kv.list<PendingRoom>({ prefix: pendingKey(did) }));
    const left = entries.filter(({ key }) => key.at(-1) !== room)
      .sort((one, other) => one.value.at - other.value.at);
    const displaced: Change["sets"] = [];
    while (left.length >= this.maxPending) {
      const heaviest = mostFrequent(left.map(({ value: { by } }) => by));
      const [{ key }] = left.splice(left.findIndex(({ value: { by } }) => by === heaviest), 1) as [
        Deno.KvEntry<PendingRoom>,
      ];
      displaced.push({ key, value: undefined });
    }
    return displaced;
  }
}

function mostFrequent(values: string[]): string {
  const counts = new Map<string, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].reduce((most, each) => each[1] > most[1] ? each : most)[0];
}

/** A cursor that no page has given out. */
export function invalidCursor(): Refusal {
  return new Refusal("InvalidRequest", 400, "Invalid cursor.");
}
