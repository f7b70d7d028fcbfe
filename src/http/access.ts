import type { MemberRole, Visibility } from "../access/room_access.ts";
import type { Members } from "../access/members.ts";
import { Refusal } from "../refusal.ts";
import type { Parts } from "./parts.ts";
import { checkRoomName } from "./tickets.ts";
import type { Method } from "./xrpc.ts";

/** Events or rooms a page, unless the caller says how many. */
const PAGE = 50;

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
  const view = await membersOf(parts, room).get(caller.did, room);
  return { room, ...view };
};

/** `listRooms`: those that the caller owns or is a member of. */
export const listRooms: Method<Paged> = async ({ caller, input }, parts) => {
  const { limit = PAGE, cursor } = input;
  const { items, cursor: next } = await membersOf(parts).list(caller.did, limit, cursor);
  return { rooms: items, cursor: next };
};

/** `listEvents`: what was done to a room's access, the latest first. */
export const listEvents: Method<InRoom & Paged> = async ({ caller, input }, parts) => {
  const { room, limit = PAGE, cursor } = input;
  const page = await membersOf(parts, room).events(caller.did, room, limit, cursor);
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
  await membersOf(parts, room).putMember(caller.did, room, member, role);
  return {};
};

/** `removeMember`: takes a member out, or the caller itself. */
export const removeMember: Method<AboutMember> = async ({ caller, input }, parts) => {
  const { room, member } = input;
  await membersOf(parts, room).removeMember(caller.did, room, member);
  return {};
};

/** `setVisibility`: says what everyone may do who is no member. */
export const setVisibility: Method<InRoom & { visibility: Visibility }> = async (
  { caller, input: { room, visibility } },
  parts,
) => {
  await membersOf(parts, room).setVisibility(caller.did, room, visibility);
  return {};
};

/** `ban`: keeps a DID out, whatever else would let it in. */
export const ban: Method<AboutMember> = async ({ caller, input: { room, member } }, parts) => {
  await membersOf(parts, room).ban(caller.did, room, member);
  return {};
};

/** `unban`: lifts a ban. */
export const unban: Method<AboutMember> = async ({ caller, input: { room, member } }, parts) => {
  await membersOf(parts, room).unban(caller.did, room, member);
  return {};
};

/** @throws {Refusal} MethodNotImplemented, InvalidRoom */
function membersOf({ members }: Parts, room?: string): Members {
  if (room !== undefined) checkRoomName(room);
  if (members !== null) return members;
  const words = "Rooms have no members here: who may do what is decided elsewhere.";
  throw new Refusal("MethodNotImplemented", 501, words);
}
