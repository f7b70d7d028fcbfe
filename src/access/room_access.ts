import type { Role } from "./policy.ts";

/** What everyone may do in a room who is no member of it. */
export type Visibility = "private" | "public-read" | "public-write";

/** What a member may be. */
export type MemberRole = Exclude<Role, "owner">;

const EVERYONE: Record<Visibility, Role | null> = {
  "private": null,
  "public-read": "reader",
  "public-write": "writer",
};

/** What is known of a DID in a room. */
export interface Standing {
  owner: string;
  visibility: Visibility;
  /** Its role as a member, if it is one. */
  member: MemberRole | null;
  banned: boolean;
}

/** The role of a DID: a ban wins over everything but the owner, and otherwise the better role counts. */
export function roleOf(did: string, { owner, visibility, member, banned }: Standing): Role | null {
  if (did === owner) return "owner";
  if (banned) return null;
  const everyone = EVERYONE[visibility];
  return member === "writer" || everyone === "writer" ? "writer" : member ?? everyone;
}

/**
 * To whom a room's name gives it, whoever comes first: the DID of an AT-URI
 * (https://atproto.com/specs/at-uri-scheme), or the DID that it begins with. `nobody` can have one whose
 * AT-URI names a handle, for handles change hands. Null where the name does not say.
 */
export function ownerByName(room: string): { did: string } | "nobody" | null {
  const isUri = room.startsWith("at://");
  const did = /^did:[a-z]+:[A-Za-z0-9._:%-]*[A-Za-z0-9._-](?=\/|$)/
    .exec(isUri ? room.slice("at://".length) : room)?.[0];
  if (did !== undefined) return { did };
  return isUri || room.startsWith("did:") ? "nobody" : null;
}
