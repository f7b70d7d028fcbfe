import { z } from "zod";
import type { MemberRole } from "./room_access.ts";

/** The lists of `app.bsky.graph`, which any ATProto app can edit: https://docs.bsky.app/docs/tutorials/user-lists */
export const LIST = "app.bsky.graph.list";
export const LIST_ITEM = "app.bsky.graph.listitem";

/** What somebody's repository says of who may do what in a room of theirs: a record of `<prefix>.grant`. */
export interface Grant {
  room: string;
  role: MemberRole;
  /** The AT-URI of the list whose members have the role; null for everyone. */
  list: string | null;
}

const grantSchema = z.object({
  room: z.string().min(1),
  role: z.enum(["writer", "reader"]),
  list: z.string().optional(),
  everyone: z.literal(true).optional(),
}).refine(({ list, everyone }) => (list === undefined) !== (everyone === undefined));

const itemSchema = z.object({ subject: z.string(), list: z.string() });

/** Reads a record as a grant; null when it is none, or names neither a list nor everyone. */
export function readGrant(value: unknown): Grant | null {
  const { data } = grantSchema.safeParse(value);
  return data === undefined ? null : { room: data.room, role: data.role, list: data.list ?? null };
}

/** Reads a record as a member of a list; null when it is none. */
export function readItem(value: unknown): { subject: string; list: string } | null {
  return itemSchema.safeParse(value).data ?? null;
}

/** All that one account's repository says. */
export class GrantBook {
  readonly #byRoom = new Map<string, Grant[]>();

  /** `lists` has the members of each list that is there. */
  constructor(
    /** The revision of the repository. */
    readonly revision: string | null,
    grants: Grant[],
    private readonly lists: Map<string, Set<string>>,
  ) {
    for (const grant of grants) {
      const others = this.#byRoom.get(grant.room) ?? [];
      this.#byRoom.set(grant.room, [...others, grant]);
    }
  }

  /** The best role that anything in the book gives a DID in a room. */
  roleOf(did: string, room: string): MemberRole | null {
    const grants = this.#byRoom.get(room) ?? [];
    const theirs = grants.filter(({ list }) => list === null || this.lists.get(list)?.has(did));
    if (theirs.some(({ role }) => role === "writer")) return "writer";
    return theirs.length > 0 ? "reader" : null;
  }

  /** Roughly how much it holds, in grants and members. */
  get size(): number {
    const members = [...this.lists.values()].map(({ size }) => size);
    return members.reduce((sum, size) => sum + size, 1 + this.#byRoom.size);
  }
}
