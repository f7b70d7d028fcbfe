import type { AccessPolicy, Role } from "../access/policy.ts";
import { Refusal } from "../refusal.ts";
import { roomNameFault } from "../sync/room_name.ts";
import type { Method } from "./xrpc.ts";

/** `getTicket`: a ticket for one room. */
export const getTicket: Method<{ room: string }> = async ({ caller, input, address }, parts) => {
  const { room } = input;
  checkRoomName(room);
  const role = await admit(parts.policy, caller.did, room, address);
  parts.tally.ticketsIssued++;
  const { ticket, expiresAt } = await parts.tickets.issue({ did: caller.did, room, role });
  return {
    ticket,
    did: caller.did,
    room,
    role,
    expiresAt: new Date(expiresAt).toISOString(),
    protocols: ["authorization", ticket],
    url: `${parts.face.publicUrl.replace(/^http/, "ws")}/sync/${encodeURIComponent(room)}`,
  };
};

/** `token`: a ticket for no room in particular, as Roomy's first clients ask for it. */
export const token: Method<unknown> = async ({ caller }, { tickets, tally }) => {
  tally.ticketsIssued++;
  const { ticket } = await tickets.issue({ did: caller.did, room: null, role: null });
  return { token: ticket };
};

/** @throws {Refusal} InvalidRoom */
export function checkRoomName(room: string): void {
  const fault = roomNameFault(room);
  if (fault !== null) throw new Refusal("InvalidRoom", 400, fault);
}

/**
 * The role of a DID that wants to come in, which may bring the room into being.
 * @throws {Refusal} Forbidden: the DID has no role in the room
 */
export async function admit(
  policy: AccessPolicy,
  did: string,
  room: string,
  address?: string,
): Promise<Role> {
  return allowed(
    await (policy.admit?.(did, room, address) ?? policy.roleOf(did, room, address)),
  );
}

/**
 * The role of a DID whose ticket for the room was issued. The room may have been deleted since: its
 * ticket does not bring it into being again.
 * @throws {Refusal} Forbidden: the DID has no role in the room any more
 */
export async function readmit(
  policy: AccessPolicy,
  did: string,
  room: string,
  address: string,
): Promise<Role> {
  return allowed(await policy.roleOf(did, room, address));
}

function allowed(role: Role | null): Role {
  if (role === null) throw new Refusal("Forbidden", 403, "You have no access to this room.");
  return role;
}
