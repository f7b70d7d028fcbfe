import type { Clock } from "../clock.ts";
import type { Limits } from "../limits/limits.ts";
import { Refusal } from "../refusal.ts";
import type { RoomChange } from "../store/kv/feed.ts";
import type { Premise } from "../store/room_store.ts";
import type { Role } from "./policy.ts";
import { type MemberRole, ownerByName, roleOf, type Visibility } from "./room_access.ts";

/** How many entries of a room's history are kept. */
const MAX_EVENTS = 1_000;

/** A change that others keep overtaking gives up after so many tries. */
const MAX_TRIES = 20;

/** At `["access", room]`. Every change of the room's access changes it, and checks it. */
export interface RoomRecord {
  owner: string;
  visibility: Visibility;
  members: number;
  /** How many events there have been. */
  events: number;
  /** In ms since the Unix epoch. */
  createdAt: number;
}

/** Something that was done to a room's access. */
export interface AccessEvent {
  /** Who did it. */
  by: string;
  what:
    | "create"
    | "putMember"
    | "removeMember"
    | "setVisibility"
    | "ban"
    | "unban"
    | "transfer"
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
export type RoomLimits = Pick<Limits, "members" | "roomsPerDid">;

/** What is to be written: the room's record, and what goes with it. */
export interface Change {
  record: RoomRecord;
  sets: { key: Deno.KvKey; value: unknown }[];
}

/** A room as one DID finds it. */
export interface Look {
  /** Null for a room that nobody has changed yet: it may still have an owner, by its name. */
  record: RoomRecord | null;
  versionstamp: string | null;
  /** The DID's role. */
  role: Role | null;
  member: MemberRole | null;
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
  readonly #watched = new Map<string, Watched>();

  constructor(
    readonly kv: Deno.Kv,
    private readonly changes: Changes,
    private readonly clock: Clock,
    readonly limits: RoomLimits,
  ) {}

  /** What the store knows of a DID in a room, in one read. */
  async look(did: string, room: string): Promise<Look> {
    const [record, member, ban] = await this.kv.getMany<[RoomRecord, MemberRole, true]>([
      recordKey(room),
      memberKey(room, did),
      banKey(room, did),
    ]);
    const named = ownerByName(room);
    const owner = record.value?.owner ?? (named !== null && named !== "nobody" ? named.did : null);
    const banned = ban.value !== null;
    const visibility = record.value?.visibility ?? "private";
    return {
      record: record.value,
      versionstamp: record.versionstamp,
      role: owner === null
        ? null
        : roleOf(did, { owner, visibility, member: member.value, banned }),
      member: member.value,
      banned,
    };
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
    return await this.#commit(room, null, change, { by: owner, what: "create" });
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
      const change = await make(look.record ?? this.#new(caller), look);
      if (change === null) return;
      const { owner } = change.record;
      const sets = [...change.sets, { key: roomsOfKey(owner, room), value: "owner" }];
      const event = { ...deed, by: caller };
      if (await this.#commit(room, look, { ...change, sets }, event)) return;
    }
    throw tooBusy();
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

  /** Removes all that is known of a room that was deleted, its record last: until then it has its owner. */
  async forget(room: string): Promise<void> {
    for await (const { key } of this.kv.list({ prefix: memberKey(room) })) {
      await this.kv.atomic().delete(roomsOfKey(String(key.at(-1)), room)).delete(key).commit();
    }
    for await (const { key } of this.kv.list({ prefix: recordKey(room) })) {
      await this.kv.delete(key);
    }
    for (let isGone = false; !isGone;) isGone = await this.#forgetRecord(room);
    this.#tell(room);
  }

  async #forgetRecord(room: string): Promise<boolean> {
    const { value, versionstamp } = await this.kv.get<RoomRecord>(recordKey(room));
    if (value === null) return true;
    const count = await this.#count(value.owner, null);
    const stamp = await this.changes.commit({
      subject: subjectOf(room),
      alsoAbout: count.about,
      what: "log",
      checks: [{ key: recordKey(room), versionstamp }, ...count.checks],
      sets: [
        ...[recordKey(room), roomsOfKey(value.owner, room)].map((key) => ({
          key,
          value: undefined,
        })),
        ...count.sets,
      ],
      bytes: 0,
    });
    return stamp !== null;
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
    const createdAt = this.clock.now();
    return { owner, visibility: "private", members: 0, events: 0, createdAt };
  }

  /** Whether it was committed: if not, somebody else was there first. */
  async #commit(
    room: string,
    before: Pick<Look, "record" | "versionstamp"> | null,
    { record, sets }: Change,
    event: Omit<AccessEvent, "at">,
  ): Promise<boolean> {
    const key = recordKey(room);
    const events = record.events + 1;
    const count = await this.#count(before?.record?.owner ?? null, record.owner);
    const stamp = await this.changes.commit({
      subject: subjectOf(room),
      alsoAbout: count.about,
      what: "log",
      checks: [{ key, versionstamp: before?.versionstamp ?? null }, ...count.checks],
      sets: [
        { key, value: { ...record, events } },
        { key: eventKey(room, events), value: { ...event, at: this.clock.now() } },
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

/** -> {@linkcode RoomRecord} */
export function recordKey(room: string): Deno.KvKey {
  return ["access", room];
}

/** -> the role of a member; without a DID, the prefix of all. */
export function memberKey(room: string, ...did: string[]): Deno.KvKey {
  return ["access", room, "member", ...did];
}

/** -> `true` for a DID that is banned; without one, the prefix of all. */
export function banKey(room: string, ...did: string[]): Deno.KvKey {
  return ["access", room, "ban", ...did];
}

/** -> an invite; without an id, the prefix of all. */
export function inviteKey(room: string, ...id: string[]): Deno.KvKey {
  return ["access", room, "invite", ...id];
}

/** -> {@linkcode AccessEvent}, by its number; without one, the prefix of all. */
export function eventKey(room: string, ...n: number[]): Deno.KvKey {
  return ["access", room, "event", ...n];
}

/** -> the role of a DID in a room that it owns or is a member of; without a room, the prefix of all. */
export function roomsOfKey(did: string, ...room: string[]): Deno.KvKey {
  return ["rooms of", did, ...room];
}

/** -> how many rooms a DID owns. */
function ownedKey(did: string): Deno.KvKey {
  return ["rooms owned", did];
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
