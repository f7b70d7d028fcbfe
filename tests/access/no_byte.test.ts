import { assertEquals } from "@std/assert";
import * as fc from "fast-check";
import * as Y from "yjs";
import { RoomAdmin } from "../../src/access/room_admin.ts";
import { type MemberRole, roleOf, type Visibility } from "../../src/access/room_access.ts";
import type { AccessEvent } from "../../src/access/room_records.ts";
import { Refusal } from "../../src/refusal.ts";
import { RoleKeeper } from "../../src/socket/role_keeper.ts";
import { eventKey } from "../../src/store/kv/access_layout.ts";
import { KvRoomStore } from "../../src/store/kv/kv_room_store.ts";
import { logPrefix, unseal } from "../../src/store/kv/layout.ts";
import type { Rooms } from "../../src/sync/rooms.ts";
import { FakeClock } from "../fake_clock.ts";
import { TestPeer } from "../sync/test_peer.ts";
import { roomsOn } from "../sync/world.ts";
import { until } from "../until.ts";

const ROOM = "notes";
const OWNER = "did:plc:owner";
const PEOPLE = ["did:plc:a", "did:plc:b", "did:plc:c"];

type Step =
  | { does: "put"; who: string; role: MemberRole }
  | { does: "remove" | "ban" | "unban" | "come" | "go" | "edit"; who: string }
  | { does: "show"; visibility: Visibility };

const who = fc.constantFrom(...PEOPLE);
const step: fc.Arbitrary<Step & { there: boolean; wait: boolean }> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      does: fc.constant("put" as const),
      who,
      role: fc.constantFrom("writer" as const, "reader" as const),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      does: fc.constantFrom("remove" as const, "ban" as const, "unban" as const),
      who,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      does: fc.constant("show" as const),
      visibility: fc.constantFrom(
        "private" as const,
        "public-read" as const,
        "public-write" as const,
      ),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      does: fc.constantFrom("come" as const, "come" as const, "go" as const),
      who,
    }),
  },
  { weight: 10, arbitrary: fc.record({ does: fc.constant("edit" as const), who }) },
).chain((step) =>
  fc.record({ there: fc.boolean(), wait: fc.boolean() }).map((rest) => ({ ...step, ...rest }))
);

/** A peer whose every edit is a word of its own. */
class Author extends TestPeer {
  readonly words = this.doc.getArray<string>("words");
  #count = 0;
  #end: (() => Promise<void>) | null = null;

  constructor(did: string) {
    super(did, "writer", true);
  }

  get isHere(): boolean {
    return this.#end !== null && this.closed === null;
  }

  async come({ admin, rooms, keeper }: Instance): Promise<void> {
    if (this.isHere || await admin.members.roleOf(this.did, ROOM) === null) return;
    this.closed = null;
    const seat = rooms.join(ROOM, this);
    const stop = keeper.keep(this.did, ROOM, seat);
    this.#end = () => seat.leave().then(stop);
    this.sit({ receive: (frame) => seat.receive(frame), leave: () => {} });
    this.askForAll();
  }

  edit(): void {
    this.words.push([`${this.did} ${this.#count++}`]);
  }

  go(): void {
    this.#end?.();
    this.#end = null;
    this.leave();
  }
}

interface Instance {
  store: KvRoomStore;
  admin: RoomAdmin;
  rooms: Rooms;
  keeper: RoleKeeper;
}

async function start(kv: Deno.Kv, clock: FakeClock): Promise<Instance> {
  const store = new KvRoomStore(kv, clock);
  await store.join();
  const admin = new RoomAdmin({
    kv,
    store,
    clock,
    limits: { members: 10, bans: 10, roomsPerDid: 10, pendingRooms: 10 },
  });
  return {
    store,
    admin,
    rooms: roomsOn(store, clock),
    keeper: new RoleKeeper({ policy: admin.members, recheck: 600_000 }, clock),
  };
}

async function act({ admin: { members } }: Instance, step: Step): Promise<void> {
  switch (step.does) {
    case "put":
      return await members.putMember(OWNER, ROOM, step.who, step.role);
    case "remove":
      return await members.removeMember(OWNER, ROOM, step.who);
    case "show":
      return await members.setVisibility(OWNER, ROOM, step.visibility);
    case "ban":
      return await members.ban(OWNER, ROOM, step.who);
    case "unban":
      return await members.unban(OWNER, ROOM, step.who);
  }
}

/** Holds each stored word against what its author might do at that moment, by the order of the commits. */
async function judge(kv: Deno.Kv): Promise<string[]> {
  const events = await Array.fromAsync(kv.list<AccessEvent>({ prefix: eventKey(ROOM) }));
  const entries = await Array.fromAsync(kv.list({ prefix: logPrefix(ROOM) }));
  const members = new Map<string, MemberRole>();
  const banned = new Set<string>();
  let visibility: Visibility = "private";
  const seen = new Set<string>();
  const wrongs: string[] = [];
  for (const entry of entries) {
    // One commit may bring both: then the entry came first.
    while (events.length > 0 && events[0]!.versionstamp < entry.versionstamp) {
      const { what, did, role, visibility: shown } = events.shift()!.value;
      if (what === "putMember") members.set(did!, role!);
      if (what === "removeMember" || what === "ban") members.delete(did!);
      if (what === "ban") banned.add(did!);
      if (what === "unban") banned.delete(did!);
      if (what === "setVisibility") visibility = shown!;
    }
    const { structs } = Y.decodeUpdate(unseal(entry.value) as Uint8Array);
    const words = structs.flatMap((struct) =>
      struct instanceof Y.Item && struct.content instanceof Y.ContentAny ? struct.content.arr : []
    );
    for (const word of words as string[]) {
      const did = word.split(" ")[0]!;
      const standing = {
        owner: OWNER,
        visibility,
        member: members.get(did) ?? null,
        banned: banned.has(did),
      };
      const role = roleOf(did, standing);
      if (role !== "writer" && role !== "owner" && !seen.has(word)) wrongs.push(`${word}: ${role}`);
      seen.add(word);
    }
  }
  return wrongs;
}

Deno.test("G9: no sequence of grants, revocations and edits stores a byte of who had no right at that moment", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60 }), async (steps) => {
      const kv = await Deno.openKv(":memory:");
      const clock = new FakeClock();
      const [here, there] = [await start(kv, clock), await start(kv, clock)];
      await until(() => [here, there].every(({ store }) => store.presence.hasOthers));
      await here.admin.members.admit(OWNER, ROOM);
      const authors = new Map(PEOPLE.map((did) => [did, new Author(did)]));
      const underWay: Promise<void>[] = [];
      for (const step of steps) {
        const instance = step.there ? there : here;
        const author = "who" in step ? authors.get(step.who)! : null;
        if (step.does === "edit") author!.edit();
        else if (step.does === "go") author!.go();
        else {
          const deed = step.does === "come" ? author!.come(instance) : act(instance, step);
          underWay.push(deed.catch((error) => {
            if (!(error instanceof Refusal)) throw error;
          }));
          if (step.wait) await deed.catch(() => {});
        }
        clock.advance(10);
      }
      await Promise.all(underWay);
      const wrongs = await judge(kv);

      // And who may write is heard, in the end.
      for (const did of PEOPLE) {
        await here.admin.members.unban(OWNER, ROOM, did);
        await here.admin.members.putMember(OWNER, ROOM, did, "writer");
      }
      for (const author of authors.values()) author.edit();
      const all = () => {
        const [first, ...others] = [...authors.values()].map(({ words }) => words.length);
        return others.every((count) => count === first);
      };
      await until(async () => {
        // As every client does it that was told to come back: to this clock, KV may be slow at times.
        for (const author of authors.values()) await author.come(there);
        clock.advance(100);
        return all();
      });

      for (const author of authors.values()) author.go();
      for (const { rooms, store } of [here, there]) {
        const passing = setInterval(() => clock.advance(50), 0);
        await rooms.shutDown(1_000);
        clearInterval(passing);
        await store.close();
      }
      kv.close();
      assertEquals(wrongs, []);
    }),
    { numRuns: Number(Deno.env.get("RUNS") ?? 60) },
  );
});
