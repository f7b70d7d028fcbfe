import { Refusal } from "../refusal.ts";
import type { Premise } from "../store/room_store.ts";
import type { AccessPolicy, Role } from "./policy.ts";
import { Removals } from "./removals.ts";
import { Turns } from "./turns.ts";
import { invalidCursor, type ListedRoom, type Page } from "./room_lists.ts";
import { type MemberRole, ownerByName, type Visibility } from "./room_access.ts";
import {
  banKey,
  belongs,
  eventKey,
  type Incarnation,
  memberKey,
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
  members: { did: string; role: MemberRole; pending?: true }[];
  /** Who owns the room as soon as they accept it. */
  offeredTo?: string;
  banned: string[];
}

/** Rooms with an owner, members and a visibility. */
export class Members implements AccessPolicy {
  readonly #removals: Removals;
  readonly #views = new Turns();

  constructor(
    private readonly records: RoomRecords,
    private readonly creation: RoomCreation = "anyone",
  ) {
    this.#removals = new Removals(records);
  }

  async roleOf(did: string, room: string): Promise<Role | null> {
    return (await this.records.look(did, room)).role;
  }

  /**
   * Like `roleOf`, for who wants to come in: a room that is not there yet belongs to who comes first.
   * One whose document is there, but no owner, was imported or written under another policy: it
   * belongs to nobody. Somebody who was made a member joins by coming in.
   * @throws {Refusal} TooManyRooms; TooBusy: the room of this name is being deleted
   */
  async admit(did: string, room: string): Promise<Role | null> {
    const look = await this.records.look(did, room);
    const { record, role, member } = look;
    if (record?.deleting && this.#mayCreate(did, room)) throw beingDeleted();
    if (role !== null && member?.pending) {
      return await this.records.accept(did, room, look) ? role : await this.admit(did, room);
    }
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

  /**
   * What the caller may know of a room. The calls of one DID take turns: the members and bans of a large
   * room are 2,000 entries, and some hundred reads of them at once keep everybody from the store.
   * @throws {Refusal} Forbidden, TooBusy
   */
  get(caller: string, room: string): Promise<{ role: Role } & Partial<RoomView>> {
    return this.#views.take(caller, () => this.#view(caller, room));
  }

  async #view(caller: string, room: string): Promise<{ role: Role } & Partial<RoomView>> {
    const { record, role } = await this.records.look(caller, room);
    if (role === null) throw forbidden();
    if (record === null) {
      return { role, owner: caller, visibility: "private", members: [], banned: [] };
    }
    const { owner, visibility, offeredTo } = record;
    const isToldOfOffer = offeredTo !== undefined && (role === "owner" || offeredTo === caller);
    const view = { role, owner, visibility, ...isToldOfOffer && { offeredTo } };
    if (role !== "owner") return view;
    const members = (await this.records.list<StoredMember>(record, memberKey(room)))
      .map(({ key, value }) => ({ did: String(key.at(-1)), ...rightsOf(readMember(value)) }));
    const banned = (await this.records.list(record, banKey(room)))
      .map(({ key }) => String(key.at(-1)));
    return { ...view, members, banned };
  }

  /** The rooms that a DID owns or has joined, by name, then those that it was offered; after `cursor`. */
  list(did: string, limit: number, cursor?: string): Promise<Page<ListedRoom>> {
    return this.records.lists.list(did, limit, cursor);
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

  /**
   * Makes a DID a member, or changes its role. It has the role at once, and is pending until it comes
   * in by itself. @throws {Refusal} Forbidden, TooManyMembers, IsOwner, Banned
   */
  async putMember(caller: string, room: string, did: string, role: MemberRole): Promise<void> {
    await this.#change(caller, room, { what: "putMember", did, role }, async (record) => {
      const { member, banned } = await this.records.look(did, room);
      if (banned) throw isBanned();
      if (member?.role === role) return null;
      const isPending = member === null || member.pending;
      const next = { role, ...isPending && { pending: true as const } };
      const change = await withMember(this.records, record, room, did, next, member);
      if (member?.role !== "writer") return change;
      return { ...change, sets: [...change.sets, ...await this.#removals.sets(record, room, did)] };
    });
  }

  /**
   * Takes a member out, for whom no invite that is there does anything any more; or lets the caller
   * leave, or decline. @throws {Refusal} Forbidden, IsOwner
   */
  async removeMember(caller: string, room: string, did: string): Promise<void> {
    await this.#change(caller, room, { what: "removeMember", did }, async (record) => {
      const { member } = await this.records.look(did, room);
      const ended = did === caller ? [] : await this.#removals.sets(record, room, did);
      if (member === null) return ended.length > 0 ? { record, sets: ended } : null;
      const { record: left, sets } = await this.#withoutMember(record, room, did, member);
      return { record: left, sets: [...sets, ...ended] };
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

  /**
   * Keeps a DID out, whatever else would let it in, and ends its membership and an offer of the room
   * to it. @throws {Refusal} Forbidden, IsOwner, TooManyBans
   */
  async ban(caller: string, room: string, did: string): Promise<void> {
    await this.#change(caller, room, { what: "ban", did }, async (record) => {
      const { banned, member } = await this.records.look(did, room);
      if (banned) return null;
      const most = this.records.limits.bans;
      const bans = await this.#countBans(record, room) + 1;
      if (bans > most) {
        throw new Refusal("TooManyBans", 400, `A room has at most ${most} bans.`, {
          limit: "bans",
        });
      }
      const { record: left, sets } = await this.#withoutMember(record, room, did, member);
      const ban = { key: banKey(room, did), value: { of: record.id } };
      return { record: { ...left, bans }, sets: [ban, ...sets] };
    });
  }

  /**
   * Lifts a ban. It gives nothing back: no invite that is there does anything for the DID.
   * @throws {Refusal} Forbidden
   */
  async unban(caller: string, room: string, did: string): Promise<void> {
    await this.#change(caller, room, { what: "unban", did }, async (record) => {
      const { banned, member } = await this.records.look(did, room);
      if (!banned) return null;
      const bans = await this.#countBans(record, room) - 1;
      // Version 0.1 left the membership of those who were banned in the store.
      const { record: left, sets } = await this.#withoutMember(record, room, did, member);
      const ended = await this.#removals.sets(record, room, did);
      return { record: { ...left, bans }, sets: [remove(banKey(room, did)), ...sets, ...ended] };
    });
  }

  /**
   * Offers a room to a member, who owns it once it accepts. Another offer takes the place of the one
   * before. A room whose name says whose it is stays that DID's.
   * @throws {Refusal} Forbidden, IsOwner, NotAMember, OwnedByName, Banned
   */
  async transfer(caller: string, room: string, did: string): Promise<void> {
    await this.#change(caller, room, { what: "transfer", did }, async (record) => {
      if (ownerByName(room) !== null) {
        throw new Refusal("OwnedByName", 400, "The room's name says whose it is.");
      }
      const { member, banned } = await this.records.look(did, room);
      if (banned) throw isBanned();
      if (member === null) {
        throw new Refusal("NotAMember", 400, "A room can be handed over to a member only.");
      }
      if (record.offeredTo === did) return null;
      const offered = { ...record, offeredTo: did };
      return {
        record: offered,
        sets: [
          ...await this.#withdrawn(record, room),
          ...await this.records.memberSets(offered, room, did, rightsOf(member)),
        ],
      };
    });
  }

  /**
   * Makes the caller, to whom the room was offered, its owner, and who was its owner a writer.
   * @throws {Refusal} Forbidden, NotOffered, TooManyRooms
   */
  async acceptTransfer(caller: string, room: string): Promise<void> {
    await this.records.change(
      caller,
      room,
      { what: "acceptTransfer" },
      async (record, { role }) => {
        if (role === null) throw forbidden();
        if (record.offeredTo !== caller) throw notOffered();
        const { owner } = record;
        const accepted = withoutOffer({ ...record, owner: caller }, caller);
        return {
          record: accepted,
          sets: [
            ...await this.records.memberSets(accepted, room, caller, null),
            ...await this.records.memberSets(accepted, room, owner, { role: "writer" }),
          ],
        };
      },
    );
  }

  /** Takes an offer back, for the owner, or declines it. @throws {Refusal} Forbidden, NotOffered */
  async cancelTransfer(caller: string, room: string): Promise<void> {
    await this.records.change(
      caller,
      room,
      { what: "cancelTransfer" },
      async (record, { role }) => {
        if (role === null) throw forbidden();
        if (role !== "owner" && record.offeredTo !== caller) throw notOffered();
        if (record.offeredTo === undefined) return null;
        return {
          record: withoutOffer(record, record.offeredTo),
          sets: await this.#withdrawn(record, room),
        };
      },
    );
  }

  /** What is to be committed for the room to be offered to nobody any more. */
  async #withdrawn(record: RoomRecord, room: string): Promise<Change["sets"]> {
    const { offeredTo } = record;
    if (offeredTo === undefined) return [];
    const { member } = await this.records.look(offeredTo, room);
    return await this.records.memberSets(
      withoutOffer(record, offeredTo),
      room,
      offeredTo,
      member && rightsOf(member),
    );
  }

  /** What is to be committed for a DID to be no member, and for an offer of the room to it to end. */
  async #withoutMember(
    record: RoomRecord,
    room: string,
    did: string,
    member: StoredMember | null,
  ): Promise<Change> {
    const members = record.members - (member === null ? 0 : 1);
    const left = withoutOffer({ ...record, members }, did);
    return { record: left, sets: await this.records.memberSets(left, room, did, null) };
  }

  async #countBans(record: RoomRecord, room: string): Promise<number> {
    return record.bans ?? (await this.records.list(record, banKey(room))).length;
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

/** A change that makes a DID such a member of a room. @throws {Refusal} TooManyMembers */
export async function withMember(
  records: RoomRecords,
  record: RoomRecord,
  room: string,
  did: string,
  next: Pick<StoredMember, "role" | "pending">,
  member: StoredMember | null,
): Promise<Change> {
  const most = records.limits.members;
  const members = record.members + (member === null ? 1 : 0);
  if (members > most) {
    throw new Refusal("TooManyMembers", 400, `A room has at most ${most} members.`, {
      limit: "members",
    });
  }
  const changed = { ...record, members };
  return { record: changed, sets: await records.memberSets(changed, room, did, next) };
}

function rightsOf({ role, pending }: StoredMember): Pick<StoredMember, "role" | "pending"> {
  return { role, ...pending && { pending } };
}

/** The room's record, which offers the room to this DID no more. */
function withoutOffer(record: RoomRecord, did: string): RoomRecord {
  const { offeredTo, ...rest } = record;
  return offeredTo === did ? rest : record;
}

const remove = (key: Deno.KvKey) => ({ key, value: undefined });

function isOwner(): Refusal {
  return new Refusal("IsOwner", 400, "This is the owner, who has every right and keeps it.");
}

function isBanned(): Refusal {
  return new Refusal("Banned", 400, "This account is banned from the room. Unban it first.");
}

function notOffered(): Refusal {
  return new Refusal("NotOffered", 400, "The room was not offered to you.");
}

/** A crash may have left it to the next sweep, but mostly it takes a moment. */
function beingDeleted(): Refusal {
  return new Refusal("TooBusy", 503, "A room of this name is being deleted.", { retryAfter: 1 });
}

/** @throws {Refusal} InvalidRequest */
function readNumber(cursor: string): number {
  if (/^\d{1,15}$/.test(cursor)) return Number(cursor);
  throw invalidCursor();
}
