import type { Clock } from "../clock.ts";
import type { Limits } from "../limits/limits.ts";
import { Refusal } from "../refusal.ts";
import {
  banKey,
  belongs,
  type DeletableRecord,
  eventKey,
  type Incarnation,
  memberKey,
  ownedKey,
  pendingKey,
  recordKey,
  roomsOfKey,
} from "../store/kv/access_layout.ts";
import { deleteKeys } from "../store/kv/delete_keys.ts";
import type { RoomChange } from "../store/kv/feed.ts";
import type { Along } from "../store/kv/kv_room_store.ts";
import { headKey, roomPrefix } from "../store/kv/layout.ts";
import type { Premise } from "../store/room_store.ts";
import type { Role } from "./policy.ts";
import { RoomLists } from "./room_lists.ts";
import { type MemberRole, ownerByName, roleOf, type Visibility } from "./room_access.ts";

/** How many entries of a room's history are kept. */
const MAX_EVENTS = 1_000;

/** Entries that are read at once: two reads for a thousand members, not ten. */
const ENTRIES_PER_READ = 500;

/** A change that others keep overtaking gives up after so many tries. */
const MAX_TRIES = 20;

/** At `["access", room]`. Every change of the room's access changes it, and checks it. */
export interface RoomRecord extends DeletableRecord {
  /** Tells the room from an earlier one of the same name. Rooms of version 0.1 have none. */
  id?: string;
  visibility: Visibility;
  members: number;
  /** Absent until the first ban or unban in rooms that were made before bans were counted. */
  bans?: number;
  /** How many events there have been. */
  events: number;
  /** In ms since the Unix epoch. */
  createdAt: number;
  /** Who owns the room as soon as they accept it. */
  offeredTo?: string;
}

/** What is stored of a member. Version 0.1 stored the bare role. */
export interface StoredMember extends Incarnation {
  role: MemberRole;
  /** It was added by somebody else, and has not come in since. */
  pending?: true;
}

/** What is stored of an invite. */
export interface StoredInvite extends Incarnation {
  role: MemberRole;
  /** In ms since the Unix epoch. */
  expiresAt: number;
  usesLeft: number;
  /** SHA-256 of what was given out. */
  hash: string;
  /** The number of the event that made it. Absent in those of version 0.1. */
  event?: number;
}

/** Something that was done to a room's access. */
export interface AccessEvent {
  /** Who did it. */
  by: string;
  what:
    | "create"
    /** Whoever runs the service made somebody the owner of a room that had none. */
    | "assign"
    | "putMember"
    | "removeMember"
    | "setVisibility"
    | "ban"
    | "unban"
    /** The room is offered to a member, who does not own it yet. */
    | "transfer"
    | "acceptTransfer"
    | "cancelTransfer"
    | "createInvite"
    | "redeemInvite"
    | "revokeInvite";
  /** In ms since the Unix epoch. */
  at: number;
  /** To whom. */
  did?: string;
  role?: MemberRole;
  visibility?: Visibility;
  /** The id of an invite. */
  invite?: string;
}

/** What an event is about, before it is known who did it and when. */
export type Deed = Omit<AccessEvent, "by" | "at">;

/** How much there may be of each. */
export type RoomLimits = Pick<Limits, "members" | "bans" | "roomsPerDid" | "pendingRooms">;

/** What is to be written: the room's record, and what goes with it. */
export interface Change {
  record: RoomRecord;
  sets: { key: Deno.KvKey; value: unknown }[];
}

/** A room as one DID finds it. */
export interface Look {
  /** Null for a room that nobody has changed yet: it may still have an owner, by its name. In one that is being deleted, nobody has a role. */
  record: RoomRecord | null;
  versionstamp: string | null;
  /** The DID's role. */
  role: Role | null;
  member: StoredMember | null;
  banned: boolean;
}

/** What this needs of the store: a commit that other instances hear of, and to hear of theirs. */
export interface Changes {
  commit(change: RoomChange): Promise<string | null>;
  watch(subject: string, onChange: (what: RoomChange["what"]) => void): () => void;
}

/** A room of which somebody wants to hear, from this instance and from others. */
interface Watched {
  listeners: Set<() => void>;
  stop: () => void;
}

/** Who may do what in rooms, as it lies in Deno KV, with a history of each room. */
export class RoomRecords {
  readonly lists: RoomLists;
  readonly #watched = new Map<string, Watched>();

  constructor(
    readonly kv: Deno.Kv,
    private readonly changes: Changes,
    private readonly clock: Clock,
    readonly limits: RoomLimits,
  ) {
    this.lists = new RoomLists(kv, limits.pendingRooms);
  }

  /** What the store knows of a DID in a room, in one read. */
  async look(did: string, room: string): Promise<Look> {
    const [entry, member, ban] = await this.kv.getMany<
      [RoomRecord, StoredMember | MemberRole, Incarnation]
    >([recordKey(room), memberKey(room, did), banKey(room, did)]);
    const { value: record, versionstamp } = entry;
    const look = { record, versionstamp, role: null, member: null, banned: false };
    if (record === null) {
      const named = ownerByName(room);
      const isTheirs = named !== null && named !== "nobody" && named.did === did;
      return { ...look, role: isTheirs ? "owner" : null };
    }
    if (record.deleting) return look;
    const standing = {
      owner: record.owner,
      visibility: record.visibility,
      member: belongs(record, member.value) ? readMember(member.value) : null,
      banned: belongs(record, ban.value),
    };
    const role = roleOf(did, { ...standing, member: standing.member?.role ?? null });
    return { ...look, role, member: standing.member, banned: standing.banned };
  }

  /** What is stored under a prefix for this very room. */
  async list<T>(record: RoomRecord, prefix: Deno.KvKey): Promise<Deno.KvEntry<T>[]> {
    const batchSize = ENTRIES_PER_READ;
    const entries = await Array.fromAsync(this.kv.list<T>({ prefix }, { batchSize }));
    return entries.filter(({ value }) => belongs(record, value));
  }

  /** The room's record, as it is now: no change of the room's access leaves it as it was. */
  async stateOf(room: string): Promise<Premise> {
    const { key, versionstamp } = await this.kv.get(recordKey(room));
    return { key, versionstamp };
  }

  /** Enters a room for its first owner. Returns whether it was the first. @throws {Refusal} TooManyRooms */
  async create(owner: string, room: string): Promise<boolean> {
    const sets = [{ key: roomsOfKey(owner, room), value: "owner" }];
    const change = { record: this.#new(owner), sets };
    const isNamed = ownerByName(room) !== null;
    const checks = isNamed ? [] : [{ key: headKey(room), versionstamp: null }];
    return await this.#commit(room, null, change, { by: owner, what: "create" }, checks);
  }

  /** Makes somebody the owner of a room that has none. Returns whether it had none. @throws {Refusal} TooManyRooms */
  async assign(owner: string, room: string): Promise<boolean> {
    const sets = [{ key: roomsOfKey(owner, room), value: "owner" }];
    const change = { record: this.#new(owner), sets };
    return await this.#commit(room, null, change, { by: owner, what: "assign" });
  }

  /** Removes the access to a room, but for its record, while that is as it was. What replaces it is to follow. */
  async clear(room: string, before: Deno.KvEntry<RoomRecord>): Promise<void> {
    const keys = await Array.fromAsync(this.kv.list({ prefix: recordKey(room) }), ({ key }) => key);
    const members = keys.filter((key) => key[2] === "member").map((key) => String(key.at(-1)));
    const listed = members.flatMap((did) => [roomsOfKey(did, room), pendingKey(did, room)]);
    const owned = roomsOfKey(before.value.owner, room);
    await deleteKeys(this.kv, [...listed, owned, ...keys], before);
  }

  /** Enters a room's record as a backup has it. Returns whether the room was still as it was `before`. */
  async restore(
    room: string,
    before: Deno.KvEntryMaybe<RoomRecord>,
    record: RoomRecord,
  ): Promise<boolean> {
    const key = recordKey(room);
    const count = await this.#count(before.value?.owner ?? null, record.owner);
    const stamp = await this.changes.commit({
      subject: subjectOf(room),
      alsoAbout: count.about,
      what: "log",
      checks: [{ key, versionstamp: before.versionstamp }, ...count.checks],
      sets: [
        { key, value: record },
        { key: roomsOfKey(record.owner, room), value: "owner" },
        ...count.sets,
      ],
      bytes: 1_024,
    });
    if (stamp !== null) this.#tell(room);
    return stamp !== null;
  }

  /** Whether a document is stored under a name that does not say whose it is. */
  async holdsDocument(room: string): Promise<boolean> {
    if (ownerByName(room) !== null) return false;
    const [any] = await Array.fromAsync(this.kv.list({ prefix: roomPrefix(room) }, { limit: 1 }));
    return any !== undefined;
  }

  /**
   * Makes a change, again and again while others are faster. `make` throws where the caller may not,
   * and returns null where there is nothing to change.
   * @throws {Refusal} TooBusy, TooManyRooms, and what `make` throws
   */
  async change(
    caller: string,
    room: string,
    deed: Deed,
    make: (record: RoomRecord, look: Look) => Change | null | Promise<Change | null>,
  ): Promise<void> {
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const look = await this.look(caller, room);
      if (look.record?.deleting) throw forbidden();
      const change = await make(look.record ?? this.#new(caller), look);
      if (change === null) return;
      const { owner } = change.record;
      const sets = [...change.sets, { key: roomsOfKey(owner, room), value: "owner" }];
      const event = { ...deed, by: caller };
      if (await this.#commit(room, look, { ...change, sets }, event)) return;
    }
    throw tooBusy();
  }

  /** What is to be committed for somebody to be such a member of a room from now on; null for none. */
  async memberSets(
    record: RoomRecord,
    room: string,
    did: string,
    member: Pick<StoredMember, "role" | "pending"> | null,
  ): Promise<Change["sets"]> {
    const value = member === null ? null : { ...member, of: record.id };
    return [
      { key: memberKey(room, did), value: value ?? undefined },
      ...await this.lists.sets(record, room, did, value, this.clock.now()),
    ];
  }

  /** A pending member comes in. It changes nobody's role. Returns whether the room was as it looked. */
  async accept(
    did: string,
    room: string,
    { record, versionstamp, member }: Look,
  ): Promise<boolean> {
    const { role } = member!;
    const stamp = await this.changes.commit({
      subject: subjectOf(room),
      what: "log",
      checks: [{ key: recordKey(room), versionstamp }],
      sets: await this.memberSets(record!, room, did, { role }),
      bytes: 1_024,
    });
    return stamp !== null;
  }

  /** Calls back when a room's access may have changed, here or elsewhere. Returns a function that stops it. */
  watch(room: string, onChange: () => void): () => void {
    const watched = this.#watched.get(room) ?? this.#watch(room);
    watched.listeners.add(onChange);
    return () => {
      watched.listeners.delete(onChange);
      if (watched.listeners.size > 0 || this.#watched.get(room) !== watched) return;
      this.#watched.delete(room);
      watched.stop();
    };
  }

  /**
   * What marks the room's access as being deleted, to be committed together with the mark on its
   * document. Whoever deletes it again goes on with what was begun.
   * @throws {Refusal} Forbidden
   */
  async deletion(caller: string, room: string): Promise<Along> {
    const { record, versionstamp, role } = await this.look(caller, room);
    const isBegun = record?.deleting && record.owner === caller;
    if (role !== "owner" && !isBegun) throw forbidden();
    const key = recordKey(room);
    const mark = { key, value: { ...record, deleting: true } };
    return {
      alsoAbout: [subjectOf(room)],
      checks: [{ key, versionstamp }],
      sets: record === null || isBegun ? [] : [mark],
    };
  }

  /** Tells whoever watches the room, here and elsewhere, that it is gone. */
  async tellDeleted(room: string): Promise<void> {
    await this.changes.commit({
      subject: subjectOf(room),
      what: "log",
      checks: [],
      sets: [],
      bytes: 0,
    });
    this.#tell(room);
  }

  /** Counts a room as the one's and no more as the other's. @throws {Refusal} TooManyRooms */
  async #count(before: string | null, after: string | null): Promise<Counted> {
    const counted: Counted = { about: [], checks: [], sets: [] };
    if (before === after) return counted;
    for (const [did, by] of [[before, -1], [after, 1]] as const) {
      if (did === null) continue;
      const { key, value, versionstamp } = await this.kv.get<number>(ownedKey(did));
      const rooms = (value ?? 0) + by;
      if (by > 0 && rooms > this.limits.roomsPerDid) throw tooManyRooms(this.limits.roomsPerDid);
      counted.about.push(`\0rooms of ${did}`);
      counted.checks.push({ key, versionstamp });
      counted.sets.push({ key, value: rooms > 0 ? rooms : undefined });
    }
    return counted;
  }

  #new(owner: string): RoomRecord {
    const [id, createdAt] = [crypto.randomUUID(), this.clock.now()];
    return { id, owner, visibility: "private", members: 0, bans: 0, events: 0, createdAt };
  }

  /** Whether it was committed: if not, somebody else was there first. */
  async #commit(
    room: string,
    before: Pick<Look, "record" | "versionstamp"> | null,
    { record, sets }: Change,
    event: Omit<AccessEvent, "at">,
    checks: Deno.AtomicCheck[] = [],
  ): Promise<boolean> {
    const key = recordKey(room);
    const events = record.events + 1;
    const entered = { ...event, at: this.clock.now(), of: record.id };
    const count = await this.#count(before?.record?.owner ?? null, record.owner);
    const stamp = await this.changes.commit({
      subject: subjectOf(room),
      // With an append it must not share a commit, which would check both before it writes either.
      alsoAbout: checks.length > 0 ? [...count.about, room] : count.about,
      what: "log",
      checks: [{ key, versionstamp: before?.versionstamp ?? null }, ...checks, ...count.checks],
      sets: [
        { key, value: { ...record, events } },
        { key: eventKey(room, events), value: entered },
        { key: eventKey(room, events - MAX_EVENTS), value: undefined },
        ...sets,
        ...count.sets,
      ],
      bytes: 1_024,
    });
    if (stamp !== null) this.#tell(room);
    return stamp !== null;
  }

  #watch(room: string): Watched {
    const listeners = new Set<() => void>();
    let seen: string | null | undefined;
    const stop = this.changes.watch(subjectOf(room), async (what) => {
      if (what !== "log") return;
      // It is called for nothing now and then. If the store cannot say, whoever listens asks again.
      const now = await this.kv.get(recordKey(room)).catch(() => undefined);
      if (now !== undefined && now.versionstamp === seen) return;
      seen = now?.versionstamp;
      this.#tell(room);
    });
    const watched = { listeners, stop };
    this.#watched.set(room, watched);
    return watched;
  }

  #tell(room: string): void {
    for (const onChange of this.#watched.get(room)?.listeners ?? []) onChange();
  }
}

/** How many rooms somebody owns from now on, to be committed with the reason. */
type Counted = Pick<RoomChange, "checks" | "sets"> & { about: string[] };

/** Under which name its changes are told: not the room's, whose log would be read for them. */
function subjectOf(room: string): string {
  return `\0access ${room}`;
}

/** What is stored of a member, whichever version stored it. */
export function readMember(stored: StoredMember | MemberRole): StoredMember {
  return typeof stored === "string" ? { role: stored } : stored;
}

/** Whoever may not enter a room learns nothing of it. */
export function forbidden(): Refusal {
  return new Refusal("Forbidden", 403, "Only the owner of the room may do this.");
}

function tooManyRooms(most: number): Refusal {
  return new Refusal("TooManyRooms", 400, `Nobody may own more than ${most} rooms.`, {
    limit: "roomsPerDid",
  });
}

function tooBusy(): Refusal {
  return new Refusal("TooBusy", 503, "The room's access is being changed too fast.", {
    retryAfter: 1,
  });
}
