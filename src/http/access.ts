import type { MemberRole, Visibility } from "../access/room_access.ts";
import type { RoomAdmin } from "../access/room_admin.ts";
import { Refusal } from "../refusal.ts";
import { roomNameFault } from "../sync/room_name.ts";
import type { Parts } from "./parts.ts";
import { admit, checkRoomName } from "./tickets.ts";
import type { Method } from "./xrpc.ts";

/** Events or rooms a page, unless the caller says how many. */
const PAGE = 50;

/** How long an invite is good unless its maker says it, in seconds: a mail may lie over a weekend. */
const WEEK = 7 * 24 * 60 * 60;

interface InRoom {
  room: string;
}
interface AboutMember extends InRoom {
  member: string;
}
interface Paged {
  limit?: number;
  cursor?: string;
}

/** `getRoom`: who owns it and what you may do in it; to its owner, who is in it. */
export const getRoom: Method<InRoom> = async ({ caller, input: { room } }, parts) => {
  const { members, invites } = adminOf(parts, room);
  const view = await members.get(caller.did, room);
  if (view.role !== "owner") return { room, ...view };
  return { room, ...view, invites: (await invites.list(caller.did, room)).map(shown) };
};

/** `listRooms`: those that the caller owns or has joined, then those that it was offered. */
export const listRooms: Method<Paged> = async ({ caller, input }, parts) => {
  const { limit = PAGE, cursor } = input;
  if (cursor !== undefined && roomNameFault(cursor) !== null) {
    throw new Refusal("InvalidRequest", 400, "Invalid cursor.");
  }
  const { items, cursor: next } = await adminOf(parts).members.list(caller.did, limit, cursor);
  return { rooms: items, cursor: next };
};

/** `listEvents`: what was done to a room's access, the latest first. */
export const listEvents: Method<InRoom & Paged> = async ({ caller, input }, parts) => {
  const { room, limit = PAGE, cursor } = input;
  const page = await adminOf(parts, room).members.events(caller.did, room, limit, cursor);
  const events = page.items.map(({ at, ...event }) => ({
    ...event,
    at: new Date(at).toISOString(),
  }));
  return { events, cursor: page.cursor };
};

/** `putMember`: makes a DID a writer or a reader. */
export const putMember: Method<AboutMember & { role: MemberRole }> = async (
  { caller, input: { room, member, role } },
  parts,
) => {
  await adminOf(parts, room).members.putMember(caller.did, room, member, role);
  return {};
};

/** `removeMember`: takes a member out, or the caller itself. */
export const removeMember: Method<AboutMember> = async ({ caller, input }, parts) => {
  const { room, member } = input;
  await adminOf(parts, room).members.removeMember(caller.did, room, member);
  return {};
};

/** `setVisibility`: says what everyone may do who is no member. */
export const setVisibility: Method<InRoom & { visibility: Visibility }> = async (
  { caller, input: { room, visibility } },
  parts,
) => {
  await adminOf(parts, room).members.setVisibility(caller.did, room, visibility);
  return {};
};

/** `ban`: keeps a DID out, whatever else would let it in. */
export const ban: Method<AboutMember> = async ({ caller, input: { room, member } }, parts) => {
  await adminOf(parts, room).members.ban(caller.did, room, member);
  return {};
};

/** `unban`: lifts a ban. */
export const unban: Method<AboutMember> = async ({ caller, input: { room, member } }, parts) => {
  await adminOf(parts, room).members.unban(caller.did, room, member);
  return {};
};

/** `acceptTransfer`: makes the caller the owner of a room that it was offered. */
export const acceptTransfer: Method<InRoom> = async ({ caller, input: { room } }, parts) => {
  await adminOf(parts, room).members.acceptTransfer(caller.did, room);
  return {};
};

/** `cancelTransfer`: takes an offer back, or declines it. */
export const cancelTransfer: Method<InRoom> = async ({ caller, input: { room } }, parts) => {
  await adminOf(parts, room).members.cancelTransfer(caller.did, room);
  return {};
};

/** `transferRoom`: offers a room to a member. */
export const transferRoom: Method<AboutMember> = async ({ caller, input }, parts) => {
  const { room, member } = input;
  await adminOf(parts, room).members.transfer(caller.did, room, member);
  return {};
};

/** `deleteRoom`: deletes a room, and all that is known of it. */
export const deleteRoom: Method<InRoom> = async ({ caller, input: { room } }, parts) => {
  await adminOf(parts, room).delete(caller.did, room);
  return {};
};

/** `createInvite`: a secret that makes whoever redeems it a member. */
export const createInvite: Method<
  InRoom & { role: MemberRole; expiresIn?: number; uses?: number }
> = async ({ caller, input }, parts) => {
  const { room, role, expiresIn = WEEK, uses = 1 } = input;
  const expiresAt = parts.clock.now() + expiresIn * 1_000;
  const terms = { role, expiresAt, usesLeft: uses };
  return shown(await adminOf(parts, room).invites.create(caller.did, room, terms));
};

/** `redeemInvite`: makes the caller a member. */
export const redeemInvite: Method<InRoom & { secret: string }> = async (
  { caller, input: { room, secret } },
  parts,
) => {
  const { members, invites } = adminOf(parts, room);
  await invites.redeem(caller.did, room, secret);
  // It may have been a pending member before: redeeming is coming in.
  return { room, role: await admit(members, caller.did, room) };
};

/** `revokeInvite`: takes an invite back. */
export const revokeInvite: Method<InRoom & { id: string }> = async (
  { caller, input: { room, id } },
  parts,
) => {
  await adminOf(parts, room).invites.revoke(caller.did, room, id);
  return {};
};

function shown<T extends { expiresAt: number }>({ expiresAt, ...rest }: T) {
  return { ...rest, expiresAt: new Date(expiresAt).toISOString() };
}

/** @throws {Refusal} MethodNotImplemented, InvalidRoom */
function adminOf({ admin }: Parts, room?: string): RoomAdmin {
  if (room !== undefined) checkRoomName(room);
  if (admin !== null) return admin;
  const words = "Rooms have no owners here: who may do what is decided elsewhere.";
  throw new Refusal("MethodNotImplemented", 501, words);
}
