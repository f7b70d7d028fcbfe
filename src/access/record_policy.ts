import type { GrantLibrary } from "./grant_library.ts";
import type { AccessPolicy, Role } from "./policy.ts";
import { ownerByName } from "./room_access.ts";

/**
 * Rooms whose owners say in their own repositories who may do what. A room belongs to whom its name
 * gives it; one whose name does not say has nobody who could.
 */
export class RecordPolicy implements AccessPolicy {
  constructor(private readonly library: GrantLibrary) {}

  /** @throws {LookupFailure} when the repository of the room's owner cannot be read */
  async roleOf(did: string, room: string, address?: string): Promise<Role | null> {
    const owner = ownerOf(room);
    if (owner === null) return null;
    if (owner === did) return "owner";
    return (await this.library.of(owner, address)).roleOf(did, room);
  }

  watch(room: string, onChange: () => void): () => void {
    const owner = ownerOf(room);
    return owner === null ? () => {} : this.library.watch(owner, onChange);
  }
}

function ownerOf(room: string): string | null {
  const named = ownerByName(room);
  return named === null || named === "nobody" ? null : named.did;
}
