import { createHash, randomBytes } from "node:crypto";
import type { Clock } from "../clock.ts";
import { Refusal } from "../refusal.ts";
import { belongs, inviteKey, removalsKey } from "../store/kv/access_layout.ts";
import { withMember } from "./members.ts";
import { Removals } from "./removals.ts";
import type { MemberRole } from "./room_access.ts";
import { forbidden, type RoomRecord, type RoomRecords, type StoredInvite } from "./room_records.ts";

/** A room's owner reads them as one list. Those that have expired do not count. */
const MAX_INVITES = 100;

const ID_BYTES = 8;
/** 256 bits, out of reach of any guesser. */
const SECRET_BYTES = 32;
/** The id and the secret itself, in base64url. */
const SHAPE = /^([A-Za-z0-9_-]{11})\.[A-Za-z0-9_-]{43}$/;

/** What an invite gives. */
export interface Terms {
  role: MemberRole;
  /** Milliseconds since the Unix epoch. */
  expiresAt: number;
  usesLeft: number;
}

/** An invite, fresh from its maker. */
export interface Invite extends Terms {
  id: string;
  /** Shown this once, and kept nowhere. */
  secret: string;
}

/** Invites to rooms, for "anyone with the link". Only their hashes lie in the store. */
export class Invites {
  readonly #removals: Removals;

  constructor(private readonly records: RoomRecords, private readonly clock: Clock) {
    this.#removals = new Removals(records);
  }

  /** Makes an invite, for the owner of the room. @throws {Refusal} Forbidden, TooManyInvites */
  async create(caller: string, room: string, terms: Terms): Promise<Invite> {
    const id = randomBytes(ID_BYTES).toString("base64url");
    const secret = `${id}.${randomBytes(SECRET_BYTES).toString("base64url")}`;
    const deed = { what: "createInvite", role: terms.role, invite: id } as const;
    await this.records.change(caller, room, deed, async (record, { role }) => {
      if (role !== "owner") throw forbidden();
      const now = this.clock.now();
      const all = await this.#all(record, room);
      const expired = all.filter(({ value }) => value.expiresAt <= now);
      if (all.length - expired.length >= MAX_INVITES) {
        throw new Refusal("TooManyInvites", 400, `A room has at most ${MAX_INVITES} invites.`);
      }
      const event = record.events + 1;
      const value: StoredInvite = { ...terms, hash: hashOf(secret), event, of: record.id };
      const gone = expired.map(({ key }) => key);
      // With the last older invite, what those could not be used for is forgotten.
      if (expired.length === all.length) gone.push(removalsKey(room));
      const sets = gone.map((key) => ({ key, value: undefined }));
      return { record, sets: [...sets, { key: inviteKey(room, id), value }] };
    });
    return { id, secret, ...terms };
  }

  /**
   * Makes the caller a member. It costs no use where that gives nothing new.
   * @throws {Refusal} InvalidInvite: unknown, used up, expired or revoked, or older than the caller's
   * removal or unban; Forbidden: banned; TooManyMembers
   */
  async redeem(caller: string, room: string, secret: string): Promise<void> {
    const id = SHAPE.exec(secret)?.[1];
    if (id === undefined) throw invalid();
    const deed = { what: "redeemInvite", invite: id } as const;
    await this.records.change(caller, room, deed, async (record, { role, member, banned }) => {
      const { key, value: invite } = await this.records.kv.get<StoredInvite>(inviteKey(room, id));
      if (!belongs(record, invite) || invite.hash !== hashOf(secret)) throw invalid();
      if (invite.expiresAt <= this.clock.now()) throw invalid();
      if (banned) throw forbidden();
      const isNothingNew = member?.role === "writer" || member?.role === invite.role;
      if (role === "owner" || isNothingNew) return null;
      if (await this.#removals.refute(record, room, caller, invite)) throw invalid();
      const joins = { role: invite.role };
      const { sets, record: changed } = await withMember(
        this.records,
        record,
        room,
        caller,
        joins,
        member,
      );
      const usesLeft = invite.usesLeft - 1;
      const value = usesLeft > 0 ? { ...invite, usesLeft } : undefined;
      return { record: changed, sets: [...sets, { key, value }] };
    });
  }

  /** Takes an invite back, for the owner of the room. Who has redeemed it stays. @throws {Refusal} Forbidden */
  async revoke(caller: string, room: string, id: string): Promise<void> {
    const deed = { what: "revokeInvite", invite: id } as const;
    await this.records.change(caller, room, deed, async (record, { role }) => {
      if (role !== "owner") throw forbidden();
      const { key, value } = await this.records.kv.get<StoredInvite>(inviteKey(room, id));
      return !belongs(record, value) ? null : { record, sets: [{ key, value: undefined }] };
    });
  }

  /** The invites that can still be redeemed, without their secrets, for the owner of the room. */
  async list(caller: string, room: string): Promise<(Terms & { id: string })[]> {
    const { record, role } = await this.records.look(caller, room);
    if (role !== "owner") throw forbidden();
    if (record === null) return [];
    const now = this.clock.now();
    const good = (await this.#all(record, room)).filter(({ value }) => value.expiresAt > now);
    return good.map(({ key, value: { role, expiresAt, usesLeft } }) => ({
      id: String(key.at(-1)),
      role,
      expiresAt,
      usesLeft,
    }));
  }

  #all(record: RoomRecord, room: string): Promise<Deno.KvEntry<StoredInvite>[]> {
    return this.records.list<StoredInvite>(record, inviteKey(room));
  }
}

function hashOf(secret: string): string {
  return createHash("sha256").update(secret).digest("base64url");
}

/** Which of the reasons it is would help only someone who guesses. */
function invalid(): Refusal {
  return new Refusal("InvalidInvite", 400, "The invite is unknown, used up, expired or revoked.");
}
