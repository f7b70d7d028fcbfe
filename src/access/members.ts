import type { Clock } from "../clock.ts";
import { Refusal } from "../refusal.ts";
import type { RoomChange } from "../store/kv/feed.ts";
import type { AccessPolicy, Role } from "./policy.ts";
import { type MemberRole, ownerByName, roleOf, type Visibility } from "./room_access.ts";

/** Who may bring rooms into being whose names belong to nobody. Those with a DID's name are that DID's. */
export type RoomCreation = "anyone" | "did-only" | "nobody";

/** A room's list is read as a whole by its owner; a community larger than this is public. */
const MAX_MEMBERS = 1_000;

/** How many entries of a room's history are kept. */
const MAX_EVENTS = 1_000;

/** A change that others keep overtaking gives up after so many tries. */
const MAX_TRIES = 20;

/** At `["access", room]`. Every change of the room's access changes it, and checks it. */
interface RoomRecord {
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
  what: "create" | "putMember" | "removeMember" | "setVisibility" | "ban" | "unban";
  /** In ms since the Unix epoch. */
  at: number;
  /** To whom. */
  did?: string;
  role?: MemberRole;
  visibility?: Visibility;
}

/** How a room looks to its owner. */
export interface RoomView {
  owner: string;
  visibility: Visibility;
  members: { did: string; role: MemberRole }[];
  banned: string[];
}

/** A page of a list. */
export interface Page<T> {
  items: T[];
  /** Where the next one begins; undefined at the end. */
  cursor?: string;
}

/** What the members need of the store: a commit that other instances hear of, and to hear of theirs. */
export interface Changes {
  commit(change: RoomChange): Promise<string | null>;
  watch(subject: string, onChange: () => void): () => void;
}

export interface MembersOptions {
  kv: Deno.Kv;
  changes: Changes;
  clock: Clock;
  /** Default: `anyone`. */
  creation?: RoomCreation;
}

/** Rooms with an owner, members and a visibility, in Deno KV. */
export class Members implements AccessPolicy {
  readonly #kv: Deno.Kv;
  readonly #changes: Changes;
  readonly #clock: Clock;
  readonly #creation: RoomCreation;
  readonly #watched = new Map<string, Watched>();

  constructor({ kv, changes, clock, creation = "anyone" }: MembersOptions) {
    this.#kv = kv;
    this.#changes = changes;
    this.#clock = clock;
    this.#creation = creation;
  }

  async roleOf(did: string, room: string): Promise<Role | null> {
    return (await this.#look(did, room)).role;
  }

  /** Like `roleOf`, for who wants to come in: a room that nobody has belongs to who comes first. */
  async admit(did: string, room: string): Promise<Role | null> {
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const { record, role } = await this.#look(did, room);
      if (record.value !== null || !this.#mayCreate(did, room)) return role;
      if (await this.#create(did, room)) return "owner";
    }
    throw tooBusy();
  }

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

  #watch(room: string): Watched {
    const listeners = new Set<() => void>();
    let seen: string | null | undefined;
    const stop = this.#changes.watch(subjectOf(room), async () => {
      // It is called for nothing now and then. If the store cannot say, whoever listens asks again.
      const now = await this.#kv.get(recordKey(room)).catch(() => undefined);
      if (now !== undefined && now.versionstamp === seen) return;
      seen = now?.versionstamp;
      for (const onChange of listeners) onChange();
    });
    const watched = { listeners, stop };
    this.#watched.set(room, watched);
    return watched;
  }

  /** What the caller may know of a room. @throws {Refusal} Forbidden */
  async get(caller: string, room: string): Promise<{ role: Role } & Partial<RoomView>> {
    const { record: { value }, role } = await this.#look(caller, room);
    if (role === null) throw forbidden();
    if (value === null) {
      return { role, owner: caller, visibility: "private", members: [], banned: [] };
    }
    const { owner, visibility } = value;
    if (role !== "owner") return { role, owner, visibility };
    const members: RoomView["members"] = [];
    for await (const { key, value } of this.#kv.list<MemberRole>({ prefix: memberKey(room) })) {
      members.push({ did: String(key.at(-1)), role: value });
    }
    const banned = await Array.fromAsync(
      this.#kv.list({ prefix: banKey(room) }),
      ({ key }) => String(key.at(-1)),
    );
    return { role, owner, visibility, members, banned };
  }

  /** The rooms that a DID owns or is a member of, by name; those after the room `cursor`. */
  async list(
    did: string,
    limit: number,
    cursor?: string,
  ): Promise<Page<{ room: string; role: Role }>> {
    const prefix = roomsOfKey(did);
    const selector = cursor === undefined
      ? { prefix }
      : { prefix, start: roomsOfKey(did, `${cursor}\0`) };
    const items: { room: string; role: Role }[] = [];
    for await (const { key, value } of this.#kv.list<Role>(selector, { limit })) {
      items.push({ room: String(key.at(-1)), role: value });
    }
    return { items, ...items.length === limit && { cursor: items.at(-1)!.room } };
  }

  /** What was done to a room's access, the latest first; for its owner. @throws {Refusal} Forbidden */
  async events(
    caller: string,
    room: string,
    limit: number,
    cursor?: string,
  ): Promise<Page<AccessEvent>> {
    if ((await this.#look(caller, room)).role !== "owner") throw forbidden();
    const prefix = eventKey(room);
    const selector = cursor === undefined
      ? { prefix }
      : { prefix, end: eventKey(room, readNumber(cursor)) };
    const list = this.#kv.list<AccessEvent>(selector, { limit, reverse: true });
    const entries = await Array.fromAsync(list);
    const items = entries.map(({ value }) => value);
    return { items, ...items.length === limit && { cursor: String(entries.at(-1)!.key.at(-1)) } };
  }

  /** Makes a DID a member, or changes its role. @throws {Refusal} Forbidden, TooManyMembers, IsOwner */
  async putMember(caller: string, room: string, did: string, role: MemberRole): Promise<void> {
    await this.#change(caller, room, { what: "putMember", did, role }, async (record) => {
      const member = await this.#kv.get<MemberRole>(memberKey(room, did));
      if (member.value === role) return null;
      const members = record.members + (member.value === null ? 1 : 0);
      if (members > MAX_MEMBERS) {
        throw new Refusal("TooManyMembers", 400, `A room has at most ${MAX_MEMBERS} members.`);
      }
      return {
        record: { ...record, members },
        sets: [
          { key: member.key, value: role },
          { key: roomsOfKey(did, room), value: role },
        ],
      };
    });
  }

  /** Takes a member out; anyone may leave. @throws {Refusal} Forbidden, IsOwner */
  async removeMember(caller: string, room: string, did: string): Promise<void> {
    await this.#change(caller, room, { what: "removeMember", did }, async (record) => {
      const member = await this.#kv.get<MemberRole>(memberKey(room, did));
      if (member.value === null) return null;
      return {
        record: { ...record, members: record.members - 1 },
        sets: [
          { key: member.key, value: undefined },
          { key: roomsOfKey(did, room), value: undefined },
        ],
      };
    });
  }

  /** Says what everyone may do who is no member. @throws {Refusal} Forbidden */
  async setVisibility(caller: string, room: string, visibility: Visibility): Promise<void> {
    await this.#change(caller, room, { what: "setVisibility", visibility }, (record) => {
      if (record.visibility === visibility) return null;
      return { record: { ...record, visibility }, sets: [] };
    });
  }

  /** Keeps a DID out, whatever else would let it in. @throws {Refusal} Forbidden, IsOwner */
  async ban(caller: string, room: string, did: string): Promise<void> {
    await this.#setBan(caller, room, did, "ban");
  }

  /** Lifts a ban. @throws {Refusal} Forbidden */
  async unban(caller: string, room: string, did: string): Promise<void> {
    await this.#setBan(caller, room, did, "unban");
  }

  async #setBan(caller: string, room: string, did: string, what: "ban" | "unban"): Promise<void> {
    await this.#change(caller, room, { what, did }, async (record) => {
      const [ban, member] = await this.#kv.getMany<[true, MemberRole]>([
        banKey(room, did),
        memberKey(room, did),
      ]);
      const isBan = what === "ban";
      if ((ban.value !== null) === isBan) return null;
      return {
        record,
        sets: [
          { key: ban.key, value: isBan ? true : undefined },
          // It is not told of a room that it may not enter.
          { key: roomsOfKey(did, room), value: isBan ? undefined : member.value ?? undefined },
        ],
      };
    });
  }

  /** What the store knows of a DID in a room, in one read. */
  async #look(did: string, room: string) {
    const [record, member, ban] = await this.#kv.getMany<[RoomRecord, MemberRole, true]>([
      recordKey(room),
      memberKey(room, did),
      banKey(room, did),
    ]);
    const named = ownerByName(room);
    const owner = record.value?.owner ?? (named !== null && named !== "nobody" ? named.did : null);
    const role = owner === null ? null : roleOf(did, {
      owner,
      visibility: record.value?.visibility ?? "private",
      member: member.value,
      banned: ban.value !== null,
    });
    return { record, role };
  }

  #mayCreate(did: string, room: string): boolean {
    const named = ownerByName(room);
    if (named === "nobody" || this.#creation === "nobody") return false;
    return named === null ? this.#creation === "anyone" : named.did === did;
  }

  async #create(owner: string, room: string): Promise<boolean> {
    return await this.#commit(room, null, this.#newRecord(owner), { by: owner, what: "create" }, [
      { key: roomsOfKey(owner, room), value: "owner" },
    ]);
  }

  #newRecord(owner: string): RoomRecord {
    return { owner, visibility: "private", members: 0, events: 0, createdAt: this.#clock.now() };
  }

  /** Makes a change for the owner, or nothing where `make` says that there is nothing to change. */
  async #change(
    caller: string,
    room: string,
    event: Omit<AccessEvent, "by" | "at">,
    make: (record: RoomRecord) => Change | null | Promise<Change | null>,
  ): Promise<void> {
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const { record: { value, versionstamp }, role } = await this.#look(caller, room);
      const leaves = event.what === "removeMember" && event.did === caller && role !== null;
      if (role !== "owner" && !leaves) throw forbidden();
      if (event.did !== undefined && event.did === (value?.owner ?? caller)) throw isOwner();
      const record = value ?? this.#newRecord(caller);
      const change = await make(record);
      if (change === null) return;
      const sets = [...change.sets, { key: roomsOfKey(record.owner, room), value: "owner" }];
      const by = { ...event, by: caller };
      if (await this.#commit(room, versionstamp, change.record, by, sets)) return;
    }
    throw tooBusy();
  }

  /** Whether it was committed: if not, somebody else was there first. */
  async #commit(
    room: string,
    versionstamp: string | null,
    record: RoomRecord,
    event: Omit<AccessEvent, "at">,
    sets: Change["sets"],
  ): Promise<boolean> {
    const key = recordKey(room);
    const events = record.events + 1;
    const stamp = await this.#changes.commit({
      subject: subjectOf(room),
      what: "log",
      checks: [{ key, versionstamp }],
      sets: [
        { key, value: { ...record, events } },
        { key: eventKey(room, events), value: { ...event, at: this.#clock.now() } },
        { key: eventKey(room, events - MAX_EVENTS), value: undefined },
        ...sets,
      ],
      bytes: 1_024,
    });
    if (stamp === null) return false;
    for (const onChange of this.#watched.get(room)?.listeners ?? []) onChange();
    return true;
  }
}

/** A room of which somebody wants to hear, from this instance and from others. */
interface Watched {
  listeners: Set<() => void>;
  stop: () => void;
}

/** What is to be written: the room's record, and what goes with it. */
interface Change {
  record: RoomRecord;
  sets: { key: Deno.KvKey; value: unknown }[];
}

/** Under which name its changes are told: not the room's, whose log would be read for them. */
function subjectOf(room: string): string {
  return `\0access ${room}`;
}

function recordKey(room: string): Deno.KvKey {
  return ["access", room];
}

function memberKey(room: string, ...did: string[]): Deno.KvKey {
  return ["access", room, "member", ...did];
}

function banKey(room: string, ...did: string[]): Deno.KvKey {
  return ["access", room, "ban", ...did];
}

function eventKey(room: string, ...n: number[]): Deno.KvKey {
  return ["access", room, "event", ...n];
}

function roomsOfKey(did: string, ...room: string[]): Deno.KvKey {
  return ["rooms of", did, ...room];
}

/** @throws {Refusal} InvalidRequest */
function readNumber(cursor: string): number {
  if (/^\d{1,15}$/.test(cursor)) return Number(cursor);
  throw new Refusal("InvalidRequest", 400, "The cursor is none that was given out.");
}

function forbidden(): Refusal {
  return new Refusal("Forbidden", 403, "Only the owner of the room may do this.");
}

function isOwner(): Refusal {
  return new Refusal("IsOwner", 400, "This is the owner, who has every right and keeps it.");
}

function tooBusy(): Refusal {
  return new Refusal("TooBusy", 503, "The room's access is being changed too fast.", {
    retryAfter: 1,
  });
}
