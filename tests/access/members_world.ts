import type { RoomCreation } from "../../src/access/members.ts";
import { RoomAdmin } from "../../src/access/room_admin.ts";
import type { RoomLimits } from "../../src/access/room_records.ts";
import { KvRoomStore } from "../../src/store/kv/kv_room_store.ts";
import { FakeClock } from "../fake_clock.ts";
import { until } from "../until.ts";

/** Members of rooms in a store of their own; `another` is an instance that shares it. */
export async function membersWorld(
  { creation, limits }: { creation?: RoomCreation; limits?: Partial<RoomLimits> } = {},
) {
  const kv = await Deno.openKv(":memory:");
  const clock = new FakeClock();
  const stores: KvRoomStore[] = [];
  const another = async () => {
    const store = new KvRoomStore(kv, clock);
    await store.join();
    stores.push(store);
    return new RoomAdmin({
      kv,
      store,
      clock,
      creation,
      limits: { members: 1_000, bans: 1_000, roomsPerDid: 10_000, pendingRooms: 100, ...limits },
    });
  };
  const admin = await another();
  return {
    kv,
    clock,
    admin,
    members: admin.members,
    invites: admin.invites,
    another,
    /** Resolves once the instances know each other. */
    acquainted: () => until(() => stores.every(({ presence }) => presence.hasOthers)),
    async [Symbol.asyncDispose]() {
      await Promise.all(stores.map((store) => store.close()));
      kv.close();
    },
  };
}
