import { getLogger } from "@logtape/logtape";
import type { Clock } from "../clock.ts";
import { Invites } from "./invites.ts";
import { Members, type RoomCreation } from "./members.ts";
import type { KvRoomStore } from "../store/kv/kv_room_store.ts";
import { type Changes, type RoomLimits, RoomRecords } from "./room_records.ts";

const logger = getLogger(["tessera", "access"]);

export interface RoomAdminOptions {
  kv: Deno.Kv;
  /** The store of the rooms' documents, on the same KV. */
  store: Changes & Pick<KvRoomStore, "delete">;
  clock: Clock;
  /** Default: `anyone`. */
  creation?: RoomCreation;
  limits: RoomLimits;
  /** Shows out who is in a room of this instance that has just been deleted. */
  evict?(room: string): void;
}

/** What owners do with their rooms. */
export class RoomAdmin {
  readonly members: Members;
  readonly invites: Invites;
  readonly #records: RoomRecords;
  readonly #store: RoomAdminOptions["store"];
  readonly #evict: (room: string) => void;

  constructor({ kv, store, clock, creation, limits, evict = () => {} }: RoomAdminOptions) {
    this.#store = store;
    this.#evict = evict;
    this.#records = new RoomRecords(kv, store, clock, limits);
    this.members = new Members(this.#records, creation);
    this.invites = new Invites(this.#records, clock);
  }

  /**
   * Deletes a room: its document, and all that is known of it. One commit marks both: from then on
   * nobody has a role in it, nothing about it changes, and nobody takes its name until all of it is
   * gone. Connections are closed with 4404. If it fails on the way, the owner can do it again, and a
   * sweep does it anyway.
   * @throws {Refusal} Forbidden
   */
  async delete(caller: string, room: string): Promise<void> {
    await this.#store.delete(room, async () => {
      const mark = await this.#records.deletion(caller, room);
      // Its history goes with it: this is all that tells who did it.
      logger.info("{caller} deletes room {room}", { caller, room });
      return mark;
    });
    this.#evict(room); // other instances see it in the store, unless they knew of nothing there
    await this.#records.tellDeleted(room);
  }
}
