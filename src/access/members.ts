import { Refusal } from "../refusal.ts";
import type { Premise } from "../store/room_store.ts";
import type { AccessPolicy, Role } from "./policy.ts";
import { type MemberRole, ownerByName, type Visibility } from "./room_access.ts";
import {
  banKey,
  belongs,
  eventKey,
  type Incarnation,
  memberKey,
  roomsOfKey,
} from "../store/kv/access_layout.ts";
import {
  type AccessEvent,
  type Change,
  type Deed,
  forbidden,
  type Look,
  readMember,
  type RoomRecord,
  type RoomRecords,
  type StoredMember,
} from "./room_records.ts";

/** Who may bring rooms into being whose names belong to nobody. Those with a DID's name are that DID's. */
export type RoomCreation = "anyone" | "did-only" | "nobody";

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

/** Rooms with an owner, members and a visibility. */
export class Members implements AccessPolicy {
  constructor(
    private readonly records: RoomRecords,
    private readonly creation: RoomCreation = "anyone",
  ) {}

  async roleOf(did: string, room: string): Promise<Role | null> {
    return (await this.records.look(did, room)).role;
  }

  /**
   * Like `roleOf`, for who wants to come in: a room that is not there yet belongs to who comes first.
   * One whose document is there, but no owner, was imported or written under another policy: it
   * belongs to nobody.
   * @throws {Refusal} TooManyRooms; TooBusy: the room of this name is being deleted
   */
  async admit(did: string, room: string): Promise<Role | null> {
    const { record, role } = await this.records.look(did, room);
    if (record?.deleting && this.#mayCreate(did, room)) throw beingDeleted();
    if (record !== null || !this.#mayCreate(did, room)) return role;
    if (await this.records.holdsDocument(room)) return null;
    // Somebody else may have been there first.
    return await this.records.create(did, room) ? "owner" : await this.admit(did, room);
  }

  stateOf(room: string): Promise<Premise> {
    return this.records.stateOf(room);
  }

  watch(room: string, onChange: () => void): () => void {
    return this.records.watch(room, onChange);
  }

  /** What the caller may know of a room. @throws {Refusal} Forbidden */
  async get(caller: string, room: string): Promise<{ role: Role } & Partial<RoomView>> {
    const { record, role } = await this.records.look(caller, room);
    if (role === null) throw forbidden();
    if (record === null) {
      return { role, owner: caller, visibility: "private", members: [], banned: [] };
    }
    const { owner, visibility } = record;
    if (role !== "owner") return { role, owner, visibility };
    const members = (await this.records.list<StoredMember>(record, memberKey(room)))
      .map(({ key, value }) => ({ did: String(key.at(-1)), role: readMember(value).role }));
    const banned = (await this.records.list(record, banKey(room)))
      .map(({ key }) => String(key.at(-1)));
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
    const items = await Array.fromAsync(
      this.records.kv.list<Role>(selector, { limit }),
      ({ key, value }) => ({ room: String(key.at(-1)), role: value }),
    );
    return { items, ...items.length === limit && { cursor: items.at(-1)!.room } };
  }

  /** What was done to a room's access, the latest first; for its owner. @throws {Refusal} Forbidden */
  async events(
    caller: string,
    room: string,
    limit: number,
    cursor?: string,
  ): Promise<Page<AccessEvent>> {
    const { record, role } = await this.records.look(caller, room);
    if (role !== "owner") throw forbidden();
    if (record === null) return { items: [] };
    const prefix = eventKey(room);
    const selector = cursor === undefined
      ? { prefix }
      : { prefix, end: eventKey(room, readNumber(cursor)) };
    const entries = await Array.fromAsync(
      this.records.kv.list<AccessEvent & Incarnation>(selector, { limit, reverse: true }),
    );
    const items = entries.filter(({ value }) => belongs(record, value))
      .map(({ value: { of: _, ...event } }) => event);
    return { items, ...entries.length === limit && { cursor: String(entries.at(-1)!.key.at(-1)) } };
  }

  /** Makes a DID a member, or changes its role. @throws {Refusal} Forbidden, TooManyMembers, IsOwner */
  async putMember(caller: string, room: string, did: string, role: MemberRole): Promise<void> {
    await this.#change(caller, room, { what: "putMember", did, role }, async (record) => {
      const member = await this.#member(room, did);
      if (member === role) return null;
      return withMember(this.records.limits.members, record, room, did, role, member);
    });
  }

  /** Takes a member out; anyone may leave. @throws {Refusal} Forbidden, IsOwner */
  async removeMember(caller: string, room: string, did: string): Promise<void> {
    await this.#change(caller, room, { what: "removeMember", did }, async (record) => {
      if (await this.#member(room, did) === null) return null;
      return {
        record: { ...record, members: record.members - 1 },
        sets: [memberKey(room, did), roomsOfKey(did, room)].map(remove),
      };
    });
  }

  /** Says what everyone may do who is no member. @throws {Refusal} Forbidden */
  async setVisibility(caller: string, room: string, visibility: Visibility): Promise<void> {
    await this.#change(
      caller,
      room,
      { what: "setVisibility", visibility },
      (record) =>
        record.visibility === visibility ? null : { record: { ...record, visibility }, sets: [] },
    );
  }

  /** Keeps a DID out, whatever else would let it in. @throws {Refusal} Forbidden, IsOwner */
  async ban(caller: string, room: string, did: string): Promise<void> {
    await this.#setBan(caller, room, did, true);
  }

  /** Lifts a ban. @throws {Refusal} Forbidden */
  async unban(caller: string, room: string, did: string): Promise<void> {
    await this.#setBan(caller, room, did, false);
  }

  /**
   * Hands a room over to a member, and makes its owner a writer. A room whose name says whose it is
   * stays that DID's. @throws {Refusal} Forbidden, IsOwner, NotAMember, OwnedByName
   */
  async transfer(caller: string, room: string, did: string): Promise<void> {
    await this.#change(caller, room, { what: "transfer", did }, async (record) => {
      if (ownerByName(room) !== null) {
        throw new Refusal("OwnedByName", 400, "The room's name says whose it is.");
      }
      if (await this.#member(room, did) === null) {
        throw new Refusal("NotAMember", 400, "A room can be handed over to a member only.");
      }
      return {
        record: { ...record, owner: did },
        sets: [
          remove(memberKey(room, did)),
          remove(banKey(room, did)),
          { key: memberKey(room, caller), value: { role: "writer", of: record.id } },
          { key: roomsOfKey(caller, room), value: "writer" },
        ],
      };
    });
  }

  async #setBan(caller: string, room: string, did: string, banned: boolean): Promise<void> {
    const deed: Deed = { what: banned ? "ban" : "unban", did };
    await this.#change(caller, room, deed, async (record) => {
      const { banned: before, member } = await this.records.look(did, room);
      if (before === banned) return null;
      // It is not told of a room that it may not enter.
      const listed = {
        key: roomsOfKey(did, room),
        value: banned ? undefined : member ?? undefined,
      };
      return {
        record,
        sets: [{ key: banKey(room, did), value: banned ? { of: record.id } : undefined }, listed],
      };
    });
  }

  async #member(room: string, did: string): Promise<MemberRole | null> {
    return (await this.records.look(did, room)).member;
  }

  #mayCreate(did: string, room: string): boolean {
    const named = ownerByName(room);
    if (named === "nobody" || this.creation === "nobody") return false;
    return named === null ? this.creation === "anyone" : named.did === did;
  }

  /** Makes a change for the owner of the room, or for a member who leaves. */
  async #change(
    caller: string,
    room: string,
    deed: Deed,
    make: (record: RoomRecord) => Change | null | Promise<Change | null>,
  ): Promise<void> {
    await this.records.change(caller, room, deed, (record, { role }: Look) => {
      const leaves = deed.what === "removeMember" && deed.did === caller && role !== null;
      if (role !== "owner" && !leaves) throw forbidden();
      if (deed.did === record.owner) throw isOwner();
      return make(record);
    });
  }
}

/** @throws {Refusal} TooManyMembers */
export function withMember(
  most: number,
  record: RoomRecord,
  room: string,
  did: string,
  role: MemberRole,
  before: MemberRole | null,
): Change {
  const members = record.members + (before === null ? 1 : 0);
  if (members > most) {
    throw new Refusal("TooManyMembers", 400, `A room has at most ${most} members.`, {
      limit: "members",
    });
  }
  const sets = [
    { key: memberKey(room, did), value: { role, of: record.id } },
    { key: roomsOfKey(did, room), value: role },
  ];
  return { record: { ...record, members }, sets };
}

const remove = (key: Deno.KvKey) => ({ key, value: undefined });

function isOwner(): Refusal {
  return new Refusal("IsOwner", 400, "This is the owner, who has every right and keeps it.");
}

/** A crash may have left it to the next sweep, but mostly it takes a moment. */
function beingDeleted(): Refusal {
  return new Refusal("TooBusy", 503, "A room of this name is being deleted.", { retryAfter: 1 });
}

/** @throws {Refusal} InvalidRequest */
function readNumber(cursor: string): number {
  if (/^\d{1,15}$/.test(cursor)) return Number(cursor);
  throw new Refusal("InvalidRequest", 400, "The cursor is none that was given out.");
}
