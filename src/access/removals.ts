import { belongs, type Incarnation, inviteKey, removalsKey } from "../store/kv/access_layout.ts";
import type { Change, RoomRecord, RoomRecords, StoredInvite } from "./room_records.ts";

/** A KV value holds 64 KiB: some 900 removed members with a did:plc each. */
const MAX_BYTES = 48 * 1024;
/** What a number and KV's framing weigh beside a DID. */
const ENTRY_BYTES = 20;

/** What is stored of a room: who was removed, demoted or unbanned, and the number of that event. Ascending. */
export interface StoredRemovals extends Incarnation {
  since: Map<string, number>;
}

/**
 * Whom the invites of a room do nothing for any more. Removing or demoting somebody ends what the
 * invites that are there can do for them; later invites, and `putMember`, are a new decision. While
 * somebody is banned no invite does anything for them, so a ban is entered when it is lifted. The
 * order is that of the room's events and needs no clock.
 */
export class Removals {
  constructor(private readonly records: RoomRecords) {}

  /** Whether the invite was made before its holder was removed, demoted or unbanned. */
  async refute(
    record: RoomRecord,
    room: string,
    did: string,
    invite: StoredInvite,
  ): Promise<boolean> {
    const since = (await this.#read(record, room)).get(did);
    return since !== undefined && numberOf(invite) < since;
  }

  /**
   * What is to be committed with the event that removes, demotes or unbans somebody; nothing where no invite
   * could bring them back. What is about invites that are gone is forgotten. Of more removals than can be remembered, the oldest are forgotten together with the invites that they are about.
   */
  async sets(record: RoomRecord, room: string, did: string): Promise<Change["sets"]> {
    const invites = await this.records.list<StoredInvite>(record, inviteKey(room));
    const known = await this.#read(record, room);
    const ended = known.get(did) ?? -1;
    if (invites.every(({ value }) => numberOf(value) < ended)) return [];
    const oldest = Math.min(...invites.map(({ value }) => numberOf(value)));
    known.delete(did);
    const left = [...known].filter(([, since]) => since > oldest);
    left.push([did, record.events + 1]);
    const forgotten = left.splice(0, left.length - mostThatFit(left)).at(-1)?.[1] ?? 0;
    const value: StoredRemovals = { since: new Map(left), of: record.id };
    return [
      { key: removalsKey(room), value },
      ...invites.filter(({ value }) => numberOf(value) < forgotten)
        .map(({ key }) => ({ key, value: undefined })),
    ];
  }

  async #read(record: RoomRecord, room: string): Promise<Map<string, number>> {
    const { value } = await this.records.kv.get<StoredRemovals>(removalsKey(room));
    return belongs(record, value) ? value.since : new Map();
  }
}

/** How many of the last entries fit into one value. */
function mostThatFit(entries: [did: string, since: number][]): number {
  let [count, bytes] = [0, 0];
  for (const [did] of entries.toReversed()) {
    bytes += did.length + ENTRY_BYTES;
    if (bytes > MAX_BYTES) break;
    count++;
  }
  return count;
}

/** Invites of version 0.1 have no number: they are older than any removal. */
function numberOf({ event = 0 }: StoredInvite): number {
  return event;
}
