import type { Invites } from "./invites.ts";
import type { Members } from "./members.ts";
import { forbidden, type RoomRecords } from "./room_records.ts";

/** What owners do with their rooms. */
export class RoomAdmin {
  constructor(
    readonly members: Members,
    readonly invites: Invites,
    private readonly records: RoomRecords,
    private readonly deleteContent: (room: string) => Promise<void>,
  ) {}

  /**
   * Deletes a room, its document first, then all that is known of it. Who is in it is closed with
   * 4404. If it fails on the way, the owner is still the owner, and can do it again.
   * @throws {Refusal} Forbidden
   */
  async delete(caller: string, room: string): Promise<void> {
    if (await this.members.roleOf(caller, room) !== "owner") throw forbidden();
    await this.deleteContent(room);
    await this.records.forget(room);
  }
}
