import { createHash } from "node:crypto";
import { assertEquals, assertRejects } from "@std/assert";
import * as fc from "fast-check";
import { placeOn } from "../../src/cli/place.ts";
import { RoomAdmin } from "../../src/access/room_admin.ts";
import { Refusal } from "../../src/refusal.ts";
import { PremiseError, RoomDeletedError } from "../../src/store/room_store.ts";
import { recordKey } from "../../src/store/kv/access_layout.ts";
import { KvRoomStore } from "../../src/store/kv/kv_room_store.ts";
import { sweep } from "../../src/store/kv/sweep.ts";
import { FakeClock } from "../fake_clock.ts";
import { hookedKv } from "../store/hooked_kv.ts";
import { membersWorld } from "./members_world.ts";

const [ALICE, BOB, CAROL, DAVE] = [
  "did:plc:alice",
  "did:plc:bob",
  "did:plc:carol",
  "did:plc:dave",
] as const;
const ROOM = "notes";
const A_DAY = 24 * 60 * 60_000;

/** What may happen while Alice deletes her room; Dave wants its name. */
const DEEDS = {
  put: ({ admin }) => admin.members.putMember(ALICE, ROOM, CAROL, "writer"),
  demote: ({ admin }) => admin.members.putMember(ALICE, ROOM, BOB, "reader"),
  remove: ({ admin }) => admin.members.removeMember(ALICE, ROOM, BOB),
  ban: ({ admin }) => admin.members.ban(ALICE, ROOM, CAROL),
  show: ({ admin }) => admin.members.setVisibility(ALICE, ROOM, "public-write"),
  invite: ({ admin, terms }) => admin.invites.create(ALICE, ROOM, terms),
  redeem: ({ admin, secret }) => admin.invites.redeem(CAROL, ROOM, secret),
  hand: ({ admin }) => admin.members.transfer(ALICE, ROOM, BOB),
  accept: ({ admin }) => admin.members.acceptTransfer(BOB, ROOM),
  cancel: ({ admin }) => admin.members.cancelTransfer(ALICE, ROOM),
  leave: ({ admin }) => admin.members.removeMember(BOB, ROOM, BOB),
  come: ({ admin }) => admin.members.admit(BOB, ROOM),
  take: ({ admin }) => admin.members.admit(DAVE, ROOM),
  deleteAgain: ({ admin }) => admin.delete(ALICE, ROOM),
  edit: async ({ admin, store }) => {
    const log = store.log(ROOM);
    await log.pull();
    const premise = await admin.members.stateOf(ROOM);
    if (await admin.members.roleOf(BOB, ROOM) !== "writer") return;
    await log.append(new Uint8Array([1]), premise);
  },
} satisfies Record<string, (at: Instance) => Promise<unknown>>;

type Deed = keyof typeof DEEDS;

interface Instance {
  store: KvRoomStore;
  admin: RoomAdmin;
  /** A good invite of Alice's room. */
  secret: string;
  terms: { role: "writer"; expiresAt: number; usesLeft: number };
}

/** Whether it is a refusal, or an error, that such a race may end in. */
function isExpected(error: unknown): boolean {
  return error instanceof Refusal || error instanceof RoomDeletedError ||
    error instanceof PremiseError || error === DEAD;
}

const DEAD = new Error("the instance is dead");

/** Alice's room with a member, an invite and a document, on two instances. Steps of both wait for `turn`. */
async function world(turn: () => Promise<unknown>) {
  const kv = await Deno.openKv(":memory:");
  const clock = new FakeClock();
  const lives = [Infinity, Infinity];
  let racing = false;
  const instances: Instance[] = [];
  const terms = { role: "writer", expiresAt: clock.now() + 60_000, usesLeft: 50 } as const;
  for (const n of [0, 1]) {
    const step = async () => {
      if (!racing) return;
      await turn();
      if (lives[n]!-- <= 0) throw DEAD;
    };
    const hooks = { beforeRead: step, beforeList: step, beforeCommit: step };
    const hooked = hookedKv(kv, hooks);
    const store = new KvRoomStore(hooked, clock);
    const limits = { members: 10, bans: 10, roomsPerDid: 3, pendingRooms: 10 };
    const admin = new RoomAdmin({ kv: hooked, store, clock, limits });
    instances.push({ store, admin, secret: "", terms });
  }
  const [here, there] = instances as [Instance, Instance];
  await here.admin.members.admit(ALICE, ROOM);
  await here.admin.members.putMember(ALICE, ROOM, BOB, "writer");
  const { secret } = await here.admin.invites.create(ALICE, ROOM, terms);
  const log = here.store.log(ROOM);
  await log.append(new Uint8Array([0]));
  for (const instance of instances) instance.secret = secret;
  return { kv, clock, here, there, lives, race: (so: boolean) => racing = so };
}

/** The room's owner, and then whoever has it, deletes it; what a crash has left is swept. */
async function clear(kv: Deno.Kv, there: Instance, now: number): Promise<void> {
  await sweep(kv, now + A_DAY);
  for (;;) {
    const { value } = await kv.get<{ owner: string }>(recordKey(ROOM));
    if (value === null || value.owner === DAVE) return;
    await there.admin.delete(value.owner, ROOM);
  }
}

/** What anybody but Dave, who has the room now, still has of an earlier one of this name. */
async function leftovers(kv: Deno.Kv, { admin, store, secret }: Instance): Promise<unknown[]> {
  const left: unknown[] = [];
  for (const did of [ALICE, BOB, CAROL]) {
    const role = await admin.members.roleOf(did, ROOM);
    if (role !== null) left.push(`${did} is ${role}`);
    if ((await admin.members.list(did, 10)).items.length > 0) left.push(`${did} lists it`);
    const refusal = await admin.invites.redeem(did, ROOM, secret).catch(({ name }) => name);
    if (refusal !== "InvalidInvite") left.push(`an invite of Alice's: ${refusal}`);
  }
  const { members, banned } = await admin.members.get(DAVE, ROOM);
  const events = (await admin.members.events(DAVE, ROOM, 10)).items.map(({ what }) => what);
  const invites = await admin.invites.list(DAVE, ROOM);
  const updates = await store.log(ROOM).pull();
  left.push(...members!, ...banned!, ...invites, ...updates, ...events.slice(1));
  const keys = await Array.fromAsync(kv.list({ prefix: [] }), ({ key }) => key.join(" "));
  const own = ["access notes", "access notes event 1", `rooms of ${DAVE} notes`];
  left.push(...keys.filter((key) => key.includes(ROOM) && !own.includes(key)));
  const owned = ({ key, value }: Deno.KvEntry<unknown>) => `${String(key.at(-1))}: ${value}`;
  const counts = await Array.fromAsync(kv.list({ prefix: ["rooms owned"] }), owned);
  return [...left, ...counts.filter((count) => count !== `${DAVE}: 1`)];
}

Deno.test("M15: whatever is done to a room while it is deleted, whoever crashes, nothing of it is the next owner's", async () => {
  const deeds = fc.array(fc.constantFrom(...Object.keys(DEEDS) as Deed[]), {
    minLength: 1,
    maxLength: 5,
  });
  await fc.assert(
    fc.asyncProperty(
      fc.scheduler(),
      deeds,
      fc.option(fc.nat(25)),
      async (scheduler, deeds, dies) => {
        const { kv, clock, here, there, lives, race } = await world(() =>
          scheduler.schedule(Promise.resolve())
        );
        race(true);
        if (dies !== null) lives[0] = dies;
        const racers = [
          here.admin.delete(ALICE, ROOM),
          ...deeds.map(async (deed) => {
            await scheduler.schedule(Promise.resolve());
            await DEEDS[deed](there);
          }),
        ];
        const ends = await scheduler.waitFor(Promise.allSettled(racers));
        race(false);
        for (const end of ends) {
          if (end.status === "rejected" && !isExpected(end.reason)) throw end.reason;
        }
        await clear(kv, there, clock.now());
        await there.admin.members.admit(DAVE, ROOM);
        const left = await leftovers(kv, there);
        kv.close();
        assertEquals(left, []);
      },
    ),
    { numRuns: Number(Deno.env.get("RUNS") ?? 150) },
  );
});

Deno.test("M15: what version 0.1 left behind when it deleted a room is nobody's in the next one", async () => {
  const { kv, clock, here } = await world(() => Promise.resolve());
  await here.admin.delete(ALICE, ROOM);
  const invite = { role: "writer", expiresAt: clock.now() + 60_000, usesLeft: 9 };
  await kv.set(["access", ROOM, "member", BOB], "writer");
  await kv.set(["access", ROOM, "ban", CAROL], true);
  await kv.set(["access", ROOM, "event", 7], { by: ALICE, what: "create", at: 0 });
  const secret = `aaaaaaaaaaa.${"b".repeat(43)}`;
  const hash = createHash("sha256").update(secret).digest("base64url");
  await kv.set(["access", ROOM, "invite", "aaaaaaaaaaa"], { ...invite, hash });
  assertEquals(await here.admin.members.admit(DAVE, ROOM), "owner");
  assertEquals(await here.admin.members.roleOf(BOB, ROOM), null);
  assertEquals((await here.admin.members.get(DAVE, ROOM)).members, []);
  assertEquals((await here.admin.members.get(DAVE, ROOM)).banned, []);
  assertEquals(await here.admin.invites.list(DAVE, ROOM), []);
  assertEquals((await here.admin.members.events(DAVE, ROOM, 10)).items.length, 1);
  await assertRejects(() => here.admin.invites.redeem(CAROL, ROOM, secret), Refusal);
  await here.admin.delete(DAVE, ROOM);
  const keys = await Array.fromAsync(kv.list({ prefix: ["access"] }));
  assertEquals(keys, []);
  kv.close();
});

Deno.test("M17: a room as version 0.1 stored it keeps its owner, members, bans, invites and history", async () => {
  await using it = await membersWorld();
  const secret = `aaaaaaaaaaa.${"b".repeat(43)}`;
  const hash = createHash("sha256").update(secret).digest("base64url");
  const expiresAt = it.clock.now() + 60_000;
  const record = { owner: ALICE, visibility: "private", members: 1, events: 1, createdAt: 0 };
  await it.kv.set(["access", ROOM], record);
  await it.kv.set(["access", ROOM, "event", 1], { by: ALICE, what: "create", at: 0 });
  await it.kv.set(["access", ROOM, "member", BOB], "reader");
  await it.kv.set(["access", ROOM, "ban", CAROL], true);
  await it.kv.set(["access", ROOM, "invite", "aaaaaaaaaaa"], {
    hash,
    role: "writer",
    expiresAt,
    usesLeft: 2,
  });
  await it.kv.set(["rooms of", ALICE, ROOM], "owner");
  await it.kv.set(["rooms of", BOB, ROOM], "reader");
  await it.kv.set(["rooms owned", ALICE], 1);
  assertEquals(await it.members.roleOf(BOB, ROOM), "reader");
  await assertRejects(() => it.invites.redeem(CAROL, ROOM, secret), Refusal, "owner");
  await it.invites.redeem(DAVE, ROOM, secret);
  await it.members.putMember(ALICE, ROOM, BOB, "writer");
  await it.members.unban(ALICE, ROOM, CAROL);
  await assertRejects(() => it.invites.redeem(CAROL, ROOM, secret), Refusal, "unknown"); // M22
  await it.members.putMember(ALICE, ROOM, CAROL, "writer");
  const { members, banned } = await it.members.get(ALICE, ROOM);
  const roles = members!.map(({ did, role }) => [did, role]);
  assertEquals([roles, banned], [[[BOB, "writer"], [CAROL, "writer"], [DAVE, "writer"]], []]);
  const { items } = await it.members.events(ALICE, ROOM, 10);
  assertEquals(
    items.map(({ what }) => what),
    ["putMember", "unban", "putMember", "redeemInvite", "create"],
  );
  assertEquals((await it.members.list(BOB, 10)).items, [{ room: ROOM, role: "writer" }]);
  await it.admin.delete(ALICE, ROOM);
  const keys = await Array.fromAsync(it.kv.list({ prefix: [] }), ({ key }) => key.join(" "));
  assertEquals(keys.filter((key) => key.includes(ROOM) || key.startsWith("rooms owned")), []);
});

Deno.test("M24: a room with the longest name and the longest DIDs can be deleted, exported and imported", async () => {
  await using from = await membersWorld();
  await using to = await membersWorld();
  const room = "r".repeat(512);
  const did = (kind: string, n: number) => `did:web:${kind}${String(n).padStart(503, "x")}`;
  const all = Array.from({ length: 1_000 }, (_, n) => n);
  await from.members.admit(ALICE, room);
  const place = placeOn(from.kv);
  const access = (await place.access.read(room))!;
  const large = {
    ...access,
    members: all.map((n) => ({ did: did("m", n), role: "reader" as const })),
    banned: all.map((n) => did("b", n)),
    events: all.map((n) => ({ by: ALICE, what: "ban", at: 0, did: did("b", n), n: n + 1 })),
    lastEvent: 1_000,
  };
  await place.access.write(room, large, await place.access.record(room));
  const { access: there } = placeOn(to.kv);
  await there.write(room, (await place.access.read(room))!, await there.record(room));
  assertEquals(await there.read(room), await place.access.read(room));
  await there.write(room, access, await there.record(room)); // clears what was there
  for (const { admin, kv } of [from, to]) {
    await admin.delete(ALICE, room);
    const keys = await Array.fromAsync(kv.list({ prefix: [] }), ({ key }) => key);
    assertEquals(keys.filter((key) => key.includes(room)), []);
  }
});
