import { z } from "zod";
import {
  banKey,
  belongs,
  eventKey,
  type Incarnation,
  inviteKey,
  memberKey,
  recordKey,
  removalsKey,
} from "../store/kv/access_layout.ts";
import { keyBytes, MAX_SET_KEY_BYTES } from "../store/kv/key_bytes.ts";
import type { StoredRemovals } from "./removals.ts";
import { ownerByName } from "./room_access.ts";
import {
  type AccessEvent,
  type Change,
  readMember,
  type RoomRecord,
  type RoomRecords,
  type StoredInvite,
  type StoredMember,
} from "./room_records.ts";

/** A read starts over so often because the room's access was changed meanwhile. */
const MAX_READS = 10;

/** KV takes 1,000 mutations and 800 KiB in one commit; a value has 0.5 KiB, and one of them 48 KiB. */
const SETS_PER_COMMIT = 200;

const did = z.string().max(512).regex(/^did:[a-z]+:[A-Za-z0-9._:%-]*[A-Za-z0-9._-]$/);
const memberRole = z.enum(["writer", "reader"]);
const visibility = z.enum(["private", "public-read", "public-write"]);
const time = z.int().nonnegative();
const eventNumber = z.int().nonnegative();
const inviteId = z.string().max(64).regex(/^[A-Za-z0-9_-]+$/);

/**
 * All that is known of who may do what in a room, as a backup holds it. Of invites it has what the
 * store has: hashes.
 */
export const archivedAccess = z.object({
  owner: did,
  offeredTo: did.optional(),
  visibility,
  /** In ms since the Unix epoch. */
  createdAt: time,
  members: z.array(z.object({ did, role: memberRole, pending: z.literal(true).optional() })),
  banned: z.array(did),
  invites: z.array(z.object({
    id: inviteId,
    role: memberRole,
    /** In ms since the Unix epoch. */
    expiresAt: time,
    usesLeft: z.int().positive(),
    /** SHA-256, in base64url. */
    hash: z.string().regex(/^[A-Za-z0-9_-]{43}$/),
    event: eventNumber.optional(),
  })),
  /** For whom older invites do nothing, since which event. */
  removals: z.array(z.tuple([did, eventNumber])),
  /** The number of the last event. */
  lastEvent: eventNumber,
  events: z.array(z.object({
    n: eventNumber,
    by: did,
    what: z.string().max(64),
    at: time,
    did: did.optional(),
    role: memberRole.optional(),
    visibility: visibility.optional(),
    invite: inviteId.optional(),
  })),
}).refine(({ members }) => areDistinct(members.map(({ did }) => did)), "a member is there twice")
  .refine(
    ({ owner, members }) => members.every(({ did }) => did !== owner),
    "its owner is a member",
  )
  .refine(
    ({ offeredTo, members }) => !offeredTo || members.some(({ did }) => did === offeredTo),
    "it is offered to somebody who is no member",
  )
  .refine(({ banned }) => areDistinct(banned), "a DID is banned twice")
  .refine(
    ({ members, banned }) => areDistinct([...members.map(({ did }) => did), ...banned]),
    "a member is banned",
  )
  .refine(({ events, lastEvent }) => events.every(({ n }) => n <= lastEvent), "a later last event");

/** All that is known of who may do what in a room, as a backup holds it. */
export type ArchivedAccess = z.infer<typeof archivedAccess>;

/** Reads and writes the access to rooms for backups. Quotas do not hold: it is all granted already. */
export class AccessArchive {
  constructor(private readonly records: RoomRecords) {}

  /** The room's record; null where the room has none. @throws {Error} while the room is being deleted */
  async record(room: string): Promise<Deno.KvEntryMaybe<RoomRecord>> {
    const entry = await this.records.kv.get<RoomRecord>(recordKey(room));
    if (entry.value?.deleting) throw new Error("the room is being deleted");
    return entry;
  }

  /** What is known of a room at one moment, or null when nothing is. */
  async read(room: string): Promise<ArchivedAccess | null> {
    for (let reads = 0; reads < MAX_READS; reads++) {
      const { value: record, versionstamp } = await this.record(room);
      if (record === null) return null;
      const access = await this.#collect(room, record);
      if ((await this.record(room)).versionstamp === versionstamp) return access;
    }
    throw new Error("the room's access is changed faster than it can be read");
  }

  /**
   * Writes what was read; `before` is the room's record until then. The record comes last: what
   * lies beside it counts for nothing until it is there.
   * @throws {Error} when the room was changed meanwhile
   */
  async write(
    room: string,
    access: ArchivedAccess,
    before: Deno.KvEntryMaybe<RoomRecord>,
  ): Promise<void> {
    const named = ownerByName(room);
    if (named === "nobody" || (named !== null && named.did !== access.owner)) {
      throw new Error("the room's name does not give it to the owner that the backup names");
    }
    if (before.value !== null) await this.records.clear(room, before);
    const { owner, offeredTo, visibility, createdAt, members, banned, lastEvent } = access;
    const record: RoomRecord = {
      id: crypto.randomUUID(),
      owner,
      visibility,
      members: members.length,
      bans: banned.length,
      events: lastEvent,
      createdAt,
      ...offeredTo !== undefined && { offeredTo },
    };
    const sets = await this.#sets(room, record, access);
    for (let next = 0; next < sets.length;) {
      const commit = this.records.kv.atomic();
      const end = Math.min(sets.length, next + SETS_PER_COMMIT);
      for (let bytes = 0; next < end; next++) {
        const { key, value } = sets[next]!;
        bytes += keyBytes(key);
        if (bytes > MAX_SET_KEY_BYTES) break;
        if (value === undefined) commit.delete(key);
        else commit.set(key, value);
      }
      await commit.commit();
    }
    if (!await this.records.restore(room, before, record)) {
      throw new Error("the room's access was changed meanwhile: import it again");
    }
  }

  /** Gives a room an owner. @throws {Error} when it has one, by its name too, or there is no such room */
  async assign(room: string, owner: string): Promise<void> {
    if (!did.safeParse(owner).success) throw new Error(`${owner} is not a DID`);
    if (ownerByName(room) !== null) throw new Error("the room's name says whose it is");
    const { value } = await this.record(room);
    if (value !== null) throw new Error(`it belongs to ${value.owner}`);
    if (!await this.records.assign(owner, room)) throw new Error("it has just got an owner");
  }

  async #collect(room: string, record: RoomRecord): Promise<ArchivedAccess> {
    const list = <T>(prefix: Deno.KvKey) => this.records.list<T & Incarnation>(record, prefix);
    const banned = (await list(banKey(room))).map(({ key }) => String(key.at(-1)));
    const isBanned = new Set(banned);
    const members = (await list<StoredMember>(memberKey(room)))
      // Version 0.1 left the membership of those who were banned in the store.
      .filter(({ key }) => !isBanned.has(String(key.at(-1))));
    const invites = await list<StoredInvite>(inviteKey(room));
    const events = await list<AccessEvent>(eventKey(room));
    const { value: removals } = await this.records.kv.get<StoredRemovals>(removalsKey(room));
    return {
      owner: record.owner,
      ...record.offeredTo !== undefined && { offeredTo: record.offeredTo },
      visibility: record.visibility,
      createdAt: record.createdAt,
      members: members.map(({ key, value }) => {
        const { role, pending } = readMember(value);
        return { did: String(key.at(-1)), role, ...pending && { pending } };
      }),
      banned,
      invites: invites.map(({ key, value: { of: _, ...invite } }) => ({
        id: String(key.at(-1)),
        ...invite,
      })),
      removals: belongs(record, removals) ? [...removals.since] : [],
      lastEvent: record.events,
      events: events.map(({ key, value: { of: _, ...event } }) => ({
        n: Number(key.at(-1)),
        ...event,
      })),
    };
  }

  async #sets(
    room: string,
    record: RoomRecord,
    { members, banned, invites, removals, events }: ArchivedAccess,
  ): Promise<Change["sets"]> {
    const of = record.id;
    const since: StoredRemovals = { since: new Map(removals), of };
    const sets: Change["sets"] = [
      ...banned.map((did) => ({ key: banKey(room, did), value: { of } })),
      ...invites.map(({ id, ...invite }) => ({
        key: inviteKey(room, id),
        value: { ...invite, of },
      })),
      ...events.map(({ n, ...event }) => ({ key: eventKey(room, n), value: { ...event, of } })),
      ...removals.length > 0 ? [{ key: removalsKey(room), value: since }] : [],
    ];
    for (const { did, ...member } of members) {
      sets.push(...await this.records.memberSets(record, room, did, member));
    }
    return sets;
  }
}

function areDistinct(values: string[]): boolean {
  return new Set(values).size === values.length;
}
