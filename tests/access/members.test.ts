import { assert, assertEquals, assertRejects } from "@std/assert";
import type { MemberRole, Visibility } from "../../src/access/room_access.ts";
import { ownerByName, roleOf } from "../../src/access/room_access.ts";
import { Refusal } from "../../src/refusal.ts";
import { KvRoomStore } from "../../src/store/kv/kv_room_store.ts";
import { until } from "../until.ts";
import { membersWorld } from "./members_world.ts";

type World = Awaited<ReturnType<typeof membersWorld>>;

const [ALICE, BOB, CAROL] = ["did:plc:alice", "did:plc:bob", "did:plc:carol"];

async function refused(what: Promise<unknown>, name: string): Promise<void> {
  assertEquals((await assertRejects(() => what, Refusal)).name, name);
}

Deno.test("M1: the role of a DID, by visibility, membership and ban", () => {
  const table: [Visibility, MemberRole | null, banned: boolean, role: string | null][] = [
    ["private", null, false, null],
    ["private", "reader", false, "reader"],
    ["private", "writer", false, "writer"],
    ["public-read", null, false, "reader"],
    ["public-read", "reader", false, "reader"],
    ["public-read", "writer", false, "writer"],
    ["public-write", null, false, "writer"],
    ["public-write", "reader", false, "writer"],
    ["public-write", "writer", false, "writer"],
    ["private", "writer", true, null],
    ["public-read", null, true, null],
    ["public-write", "writer", true, null],
  ];
  for (const [visibility, member, banned, role] of table) {
    const standing = { owner: ALICE!, visibility, member, banned };
    assertEquals(roleOf(BOB!, standing), role, JSON.stringify(standing));
    assertEquals(roleOf(ALICE!, standing), "owner", JSON.stringify(standing));
  }
});

Deno.test("M2: a name that is an AT-URI or begins with a DID says whose the room is", () => {
  const names: [room: string, owner: ReturnType<typeof ownerByName>][] = [
    ["at://did:plc:alice/app.notes/3k", { did: "did:plc:alice" }],
    ["at://did:web:alice.example%3A8080/app.notes/3k", { did: "did:web:alice.example%3A8080" }],
    ["at://did:plc:alice", { did: "did:plc:alice" }],
    ["did:plc:alice/notes", { did: "did:plc:alice" }],
    ["did:plc:alice", { did: "did:plc:alice" }],
    ["at://alice.example/app.notes/3k", "nobody"],
    ["at://", "nobody"],
    ["did:plc:", "nobody"],
    ["did:plc:alice?notes", "nobody"],
    ["notes", null],
    ["notes of did:plc:alice", null],
  ];
  for (const [room, owner] of names) assertEquals(ownerByName(room), owner, room);
});

Deno.test("M2: such a room is that DID's, whoever comes first, and nobody's where a handle names it", async () => {
  await using it = await membersWorld();
  const room = `${ALICE}/notes`;
  assertEquals(await it.members.admit(BOB!, room), null);
  assertEquals(await it.members.admit(ALICE!, room), "owner");
  assertEquals(await it.members.admit(BOB!, room), null);
  assertEquals(await it.members.admit(BOB!, "at://bob.example/app.notes/3k"), null);
});

Deno.test("M3: any other room belongs to who comes first: of fifty at once, on two instances, to one", async () => {
  await using it = await membersWorld();
  const there = [it.members, (await it.another()).members];
  const roles = await Promise.all(
    Array.from({ length: 50 }, (_, n) => there[n % 2]!.admit(`did:plc:n${n}`, "notes")),
  );
  assertEquals(roles.filter((role) => role === "owner").length, 1);
  assertEquals(roles.filter((role) => role === null).length, 49);
  assertEquals(await it.members.roleOf("did:plc:late", "never seen"), null);
});

Deno.test("M3: with did-only, or nobody, such a room is not brought into being", async () => {
  await using some = await membersWorld({ creation: "did-only" });
  assertEquals(await some.members.admit(ALICE!, "notes"), null);
  assertEquals(await some.members.admit(ALICE!, `${ALICE}/notes`), "owner");
  await using none = await membersWorld({ creation: "nobody" });
  assertEquals(await none.members.admit(ALICE!, "notes"), null);
});

Deno.test("M4: the owner makes members, changes and removes them; what is repeated changes nothing", async () => {
  await using it = await membersWorld();
  await it.members.admit(ALICE!, "notes");
  const roles = () => Promise.all([BOB, CAROL].map((did) => it.members.roleOf(did!, "notes")));
  await it.members.putMember(ALICE!, "notes", BOB!, "writer");
  await it.members.putMember(ALICE!, "notes", BOB!, "writer");
  await it.members.putMember(ALICE!, "notes", CAROL!, "reader");
  assertEquals(await roles(), ["writer", "reader"]);
  await it.members.putMember(ALICE!, "notes", BOB!, "reader");
  await it.members.removeMember(ALICE!, "notes", CAROL!);
  await it.members.removeMember(ALICE!, "notes", CAROL!);
  assertEquals(await roles(), ["reader", null]);
  await it.members.setVisibility(ALICE!, "notes", "public-write");
  assertEquals(await roles(), ["writer", "writer"]);
  await it.members.ban(ALICE!, "notes", CAROL!);
  assertEquals(await roles(), ["writer", null]);
  await it.members.unban(ALICE!, "notes", CAROL!);
  assertEquals(await roles(), ["writer", "writer"]);
  assertEquals(await it.members.get(ALICE!, "notes"), {
    role: "owner",
    owner: ALICE!,
    visibility: "public-write",
    members: [{ did: BOB!, role: "reader", pending: true }],
    banned: [],
  });
  assertEquals(await it.members.get(BOB!, "notes"), {
    role: "writer",
    owner: ALICE!,
    visibility: "public-write",
  });
  const { items } = await it.members.events(ALICE!, "notes", 100);
  assertEquals(
    items.map(({ by, what, did }) => [by, what, did]).toReversed(),
    [
      [ALICE, "create", undefined],
      [ALICE, "putMember", BOB],
      [ALICE, "putMember", CAROL],
      [ALICE, "putMember", BOB],
      [ALICE, "removeMember", CAROL],
      [ALICE, "setVisibility", undefined],
      [ALICE, "ban", CAROL],
      [ALICE, "unban", CAROL],
    ],
  );
});

Deno.test("M5: nobody but the owner changes anything, and a room that is not there looks the same", async () => {
  await using it = await membersWorld();
  await it.members.admit(ALICE!, "notes");
  await it.members.putMember(ALICE!, "notes", BOB!, "writer");
  for (const room of ["notes", "not there"]) {
    for (const caller of [BOB!, CAROL!]) {
      await refused(it.members.putMember(caller, room, CAROL!, "writer"), "Forbidden");
      await refused(it.members.removeMember(caller, room, "did:plc:other"), "Forbidden");
      await refused(it.members.setVisibility(caller, room, "public-write"), "Forbidden");
      await refused(it.members.ban(caller, room, CAROL!), "Forbidden");
      await refused(it.members.unban(caller, room, CAROL!), "Forbidden");
      await refused(it.members.events(caller, room, 10), "Forbidden");
    }
    await refused(it.members.get(CAROL!, room), "Forbidden");
  }
  await it.members.removeMember(BOB!, "notes", BOB!);
  assertEquals(await it.members.roleOf(BOB!, "notes"), null, "a member may leave");
});

Deno.test("M6: an owner cannot be locked out, by itself or by a slip", async () => {
  await using it = await membersWorld();
  for (const room of ["notes", `${ALICE}/notes`]) {
    await it.members.admit(ALICE!, room);
    await refused(it.members.putMember(ALICE!, room, ALICE!, "reader"), "IsOwner");
    await refused(it.members.removeMember(ALICE!, room, ALICE!), "IsOwner");
    await refused(it.members.ban(ALICE!, room, ALICE!), "IsOwner");
    assertEquals(await it.members.roleOf(ALICE!, room), "owner");
  }
});

Deno.test("M7: each DID's rooms are listed, page by page, without those that it is banned from", async () => {
  await using it = await membersWorld();
  for (let n = 0; n < 5; n++) await it.members.admit(ALICE!, `room ${n}`);
  await it.members.admit(BOB!, "bob's");
  await it.members.putMember(BOB!, "bob's", ALICE!, "reader");
  await it.members.admit(ALICE!, "bob's");
  const rooms: string[] = [];
  let cursor: string | undefined;
  do {
    const page = await it.members.list(ALICE!, 2, cursor);
    assert(page.items.length <= 2);
    rooms.push(...page.items.map(({ room, role }) => `${room}: ${role}`));
    ({ cursor } = page);
  } while (cursor !== undefined);
  assertEquals(rooms, [
    "bob's: reader",
    ...Array.from({ length: 5 }, (_, n) => `room ${n}: owner`),
  ]);
  await it.members.ban(BOB!, "bob's", ALICE!);
  assertEquals((await it.members.list(ALICE!, 1)).items, [{ room: "room 0", role: "owner" }]);
});

Deno.test("M8: a change is heard on every instance, and two at the same time are both made", async () => {
  await using it = await membersWorld();
  const { members: there } = await it.another();
  await it.acquainted();
  await it.members.admit(ALICE!, "notes");
  const heard = { here: 0, there: 0 };
  const stop = it.members.watch("notes", () => heard.here++);
  there.watch("notes", () => heard.there++);
  await it.members.putMember(ALICE!, "notes", BOB!, "reader");
  await until(() => heard.here > 0 && heard.there > 0);
  heard.here = 0;
  await there.setVisibility(ALICE!, "notes", "public-read");
  await until(() => heard.here > 0);
  await Promise.all([
    it.members.putMember(ALICE!, "notes", BOB!, "writer"),
    there.putMember(ALICE!, "notes", CAROL!, "reader"),
  ]);
  const { members } = await it.members.get(ALICE!, "notes");
  assertEquals(members!.map(({ did, role }) => [did, role]), [[BOB, "writer"], [CAROL, "reader"]]);
  stop();
  heard.here = 0;
  await it.members.setVisibility(ALICE!, "notes", "private");
  assertEquals(heard.here, 0);
});

Deno.test("M9: a room has so many members at most, also when they come at once", async () => {
  await using it = await membersWorld({ limits: { members: 20 } });
  await it.members.admit(ALICE!, "notes");
  const join = (n: number) => it.members.putMember(ALICE!, "notes", `did:plc:n${n}`, "reader");
  const all = await Promise.allSettled(Array.from({ length: 20 }, (_, n) => join(n)));
  assertEquals(all.every(({ status }) => status === "fulfilled"), true);
  await refused(join(20), "TooManyMembers");
  await it.members.removeMember(ALICE!, "notes", "did:plc:n0");
  await join(20);
});

Deno.test("M14: a DID owns so many rooms at most, also when it asks for fifty at once, on two instances", async () => {
  await using it = await membersWorld({ limits: { roomsPerDid: 5 } });
  const there = (await it.another()).members;
  await it.members.admit(ALICE!, `${ALICE}/named after her`);
  const asked = await Promise.allSettled(Array.from(
    { length: 50 },
    (_, n) => (n % 2 ? it.members : there).admit(ALICE!, `notes ${n}`),
  ));
  assertEquals(asked.filter(({ status }) => status === "fulfilled").length, 4);
  const owned = (await it.members.list(ALICE!, 50)).items.map(({ room }) => room);
  assertEquals(owned.length, 5);

  const [one, other] = owned.filter((room) => room.startsWith("notes"));
  await refused(it.members.admit(ALICE!, "one more"), "TooManyRooms");
  await it.admin.delete(ALICE!, one!);
  assertEquals(await it.members.admit(ALICE!, "one more"), "owner");
  await refused(it.members.putMember(ALICE!, `${ALICE}/new`, BOB!, "reader"), "TooManyRooms");

  for (let n = 0; n < 5; n++) await it.members.admit(BOB!, `bob's ${n}`);
  await it.members.putMember(ALICE!, other!, BOB!, "writer");
  await it.members.transfer(ALICE!, other!, BOB!);
  await refused(it.members.acceptTransfer(BOB!, other!), "TooManyRooms");
  await it.admin.delete(BOB!, "bob's 0");
  await it.members.acceptTransfer(BOB!, other!);
  assertEquals(await it.members.admit(ALICE!, "in the place of what was handed over"), "owner");
});

Deno.test("M11: a room is handed over to a member, unless its name says whose it is", async () => {
  await using it = await membersWorld();
  await it.members.admit(ALICE!, "notes");
  await refused(it.members.transfer(ALICE!, "notes", BOB!), "NotAMember");
  await it.members.putMember(ALICE!, "notes", BOB!, "reader");
  await refused(it.members.transfer(BOB!, "notes", BOB!), "Forbidden");
  await it.members.transfer(ALICE!, "notes", BOB!);
  await it.members.acceptTransfer(BOB!, "notes");
  const roles = [ALICE, BOB].map((did) => it.members.roleOf(did!, "notes"));
  assertEquals(await Promise.all(roles), ["writer", "owner"]);
  const { members } = await it.members.get(BOB!, "notes");
  assertEquals(members, [{ did: ALICE!, role: "writer" }]);
  assertEquals((await it.members.list(ALICE!, 10)).items, [{ room: "notes", role: "writer" }]);
  assertEquals((await it.members.list(BOB!, 10)).items, [{ room: "notes", role: "owner" }]);

  await it.members.putMember(ALICE!, `${ALICE}/notes`, BOB!, "writer");
  await refused(it.members.transfer(ALICE!, `${ALICE}/notes`, BOB!), "OwnedByName");
});

Deno.test("M12: an invite with one use, redeemed by fifty at once on two instances, makes one member", async () => {
  await using it = await membersWorld();
  const there = [it.invites, (await it.another()).invites];
  await it.members.admit(ALICE!, "notes");
  const expiresAt = it.clock.now() + 60_000;
  const { secret } = await it.invites.create(ALICE!, "notes", {
    role: "writer",
    expiresAt,
    usesLeft: 1,
  });
  const racers = await Promise.allSettled(
    Array.from({ length: 50 }, (_, n) => there[n % 2]!.redeem(`did:plc:n${n}`, "notes", secret)),
  );
  assertEquals(racers.filter(({ status }) => status === "fulfilled").length, 1);
  assertEquals((await it.members.get(ALICE!, "notes")).members!.length, 1);
});

Deno.test("M12: an invite is good until it is used up, expired or revoked, in its own room, and nothing else tells which", async () => {
  await using it = await membersWorld();
  await it.members.admit(ALICE!, "notes");
  await it.members.admit(ALICE!, "other");
  const invite = (usesLeft: number, ms = 60_000) =>
    it.invites.create(ALICE!, "notes", {
      role: "reader",
      expiresAt: it.clock.now() + ms,
      usesLeft,
    });
  const bad = (secret: string, room = "notes") =>
    refused(it.invites.redeem(CAROL!, room, secret), "InvalidInvite");
  const { secret } = await invite(2);
  await bad(secret, "other");
  await bad(secret, "not there");
  await bad(`${secret.slice(0, -1)}${secret.endsWith("A") ? "B" : "A"}`);
  await bad("no invite");
  await it.invites.redeem(BOB!, "notes", secret);
  await it.invites.redeem(BOB!, "notes", secret); // gives nothing new, and costs nothing
  await it.invites.redeem(ALICE!, "notes", secret);
  assertEquals((await it.invites.list(ALICE!, "notes")).map(({ usesLeft }) => usesLeft), [1]);
  assertEquals(await it.members.roleOf(BOB!, "notes"), "reader");

  await it.members.ban(ALICE!, "notes", CAROL!);
  await refused(it.invites.redeem(CAROL!, "notes", secret), "Forbidden");
  await it.members.unban(ALICE!, "notes", CAROL!);
  const { id } = (await it.invites.list(ALICE!, "notes"))[0]!;
  await refused(it.invites.revoke(BOB!, "notes", id), "Forbidden");
  await it.invites.revoke(ALICE!, "notes", id);
  await bad(secret);
  const brief = await invite(1);
  it.clock.advance(60_000);
  await bad(brief.secret);
  assertEquals(await it.invites.list(ALICE!, "notes"), []);
  await refused(
    it.invites.create(BOB!, "notes", { role: "writer", expiresAt: Infinity, usesLeft: 1 }),
    "Forbidden",
  );
});

Deno.test("M12: only a hash of an invite is at rest, and a room has a hundred at most", async () => {
  await using it = await membersWorld();
  await it.members.admit(ALICE!, "notes");
  const terms = { role: "reader", expiresAt: it.clock.now() + 60_000, usesLeft: 1 } as const;
  const made = [];
  for (let n = 0; n < 100; n++) made.push(await it.invites.create(ALICE!, "notes", terms));
  await refused(it.invites.create(ALICE!, "notes", terms), "TooManyInvites");
  const stored = JSON.stringify(await Array.fromAsync(it.kv.list({ prefix: ["access"] })));
  for (const { secret } of made) assert(!stored.includes(secret.split(".")[1]!));
  it.clock.advance(60_000);
  await it.invites.create(ALICE!, "notes", { ...terms, expiresAt: it.clock.now() + 1 });
});

Deno.test("M13: a room that its owner deletes leaves no byte in the store, nor in anybody's list", async () => {
  await using it = await membersWorld();
  await it.members.admit(ALICE!, "notes");
  await it.members.admit(ALICE!, "other");
  await it.members.putMember(ALICE!, "notes", BOB!, "writer");
  await it.members.ban(ALICE!, "notes", CAROL!);
  await it.invites.create(ALICE!, "notes", { role: "reader", expiresAt: Infinity, usesLeft: 1 });
  const log = new KvRoomStore(it.kv).log("notes");
  await log.pull();
  await log.append(new Uint8Array([1]));
  await refused(it.admin.delete(BOB!, "notes"), "Forbidden");
  await it.admin.delete(ALICE!, "notes");
  const keys = await Array.fromAsync(it.kv.list({ prefix: [] }), ({ key }) => key.join(" "));
  assertEquals(keys.filter((key) => key.includes("notes")), []);
  assert(keys.some((key) => key.includes("other")));
  assertEquals(await it.members.roleOf(BOB!, "notes"), null);
});

Deno.test("M16: a document without an owner is nobody's who asks, unless its name says whose it is", async () => {
  await using it = await membersWorld();
  const named = `${ALICE}/notes`;
  const store = new KvRoomStore(it.kv);
  for (const room of ["notes", named]) await store.log(room).append(new Uint8Array([1]));
  assertEquals(await it.members.admit(ALICE!, "notes"), null);
  assertEquals(await it.members.roleOf(ALICE!, "notes"), null);
  assertEquals(await it.members.admit(BOB!, named), null);
  assertEquals(await it.members.admit(ALICE!, named), "owner");
});

Deno.test("M18: who is made a member has the role at once, and joins by coming in, or declines", async () => {
  await using it = await membersWorld({ limits: { members: 2, roomsPerDid: 1 } });
  await it.members.admit(ALICE!, "notes");
  await it.members.admit(BOB!, "bob's");
  const listed = async (did: string) => (await it.members.list(did, 10)).items;
  const members = async () => (await it.members.get(ALICE!, "notes")).members;
  await it.members.putMember(ALICE!, "notes", BOB!, "writer");
  assertEquals(await it.members.roleOf(BOB!, "notes"), "writer");
  const bobs = { room: "bob's", role: "owner" as const };
  const offer = { room: "notes", role: "writer" as const, pending: true as const, by: ALICE! };
  assertEquals(await listed(BOB!), [bobs, offer]);
  assertEquals(await members(), [{ did: BOB!, role: "writer", pending: true }]);

  await it.members.putMember(ALICE!, "notes", BOB!, "reader");
  assertEquals(await listed(BOB!), [bobs, { ...offer, role: "reader" }]);
  await it.members.ban(ALICE!, "notes", BOB!);
  assertEquals([await it.members.admit(BOB!, "notes"), await listed(BOB!)], [null, [bobs]]);
  await it.members.unban(ALICE!, "notes", BOB!);
  assertEquals([await it.members.admit(BOB!, "notes"), await listed(BOB!)], [null, [bobs]]);
  await it.members.putMember(ALICE!, "notes", BOB!, "reader");
  assertEquals(await listed(BOB!), [bobs, { ...offer, role: "reader" }]);
  assertEquals(await it.members.admit(BOB!, "notes"), "reader");
  assertEquals(await members(), [{ did: BOB!, role: "reader" }]);
  assertEquals(await listed(BOB!), [bobs, { room: "notes", role: "reader" }]);

  await it.members.putMember(ALICE!, "notes", CAROL!, "writer");
  await refused(it.members.putMember(ALICE!, "notes", "did:plc:d", "writer"), "TooManyMembers");
  await it.members.removeMember(CAROL!, "notes", CAROL!);
  assertEquals([await listed(CAROL!), await it.members.roleOf(CAROL!, "notes")], [[], null]);
  await it.members.putMember(ALICE!, "notes", CAROL!, "reader");
  const terms = { role: "reader" as const, expiresAt: Infinity, usesLeft: 1 };
  const { secret } = await it.invites.create(ALICE!, "notes", terms);
  await it.invites.redeem(CAROL!, "notes", secret);
  await it.members.admit(CAROL!, "notes");
  assertEquals(await listed(CAROL!), [{ room: "notes", role: "reader" }]);
});

Deno.test("M18: somebody who joins while the owner takes them out has not joined", async () => {
  for (let round = 0; round < 20; round++) {
    await using it = await membersWorld();
    const there = (await it.another()).members;
    await it.members.admit(ALICE!, "notes");
    await it.members.putMember(ALICE!, "notes", BOB!, "writer");
    await Promise.all([
      there.admit(BOB!, "notes"),
      it.members.removeMember(ALICE!, "notes", BOB!),
      there.admit(BOB!, "notes"),
    ]);
    assertEquals(await it.members.roleOf(BOB!, "notes"), null);
    assertEquals((await it.members.list(BOB!, 10)).items, []);
    assertEquals((await it.members.get(ALICE!, "notes")).members, []);
  }
});

Deno.test("M19: a room belongs to its owner until the member to whom it is offered accepts it", async () => {
  await using it = await membersWorld();
  await it.members.admit(ALICE!, "notes");
  for (const did of [BOB, CAROL]) {
    await it.members.putMember(ALICE!, "notes", did!, "reader");
    await it.members.admit(did!, "notes");
  }
  const listed = async (did: string) =>
    (await it.members.list(did, 10)).items.map(({ role, pending }) => [role, pending ?? false]);
  const offer = (did: string) => it.members.transfer(ALICE!, "notes", did);
  const accept = (did: string) => it.members.acceptTransfer(did, "notes");
  const cancel = (did: string) => it.members.cancelTransfer(did, "notes");

  await refused(accept(BOB!), "NotOffered");
  await refused(accept("did:plc:d"), "Forbidden");
  await offer(BOB!);
  assertEquals(await it.members.admit(BOB!, "notes"), "reader", "a ticket accepts no room");
  assertEquals(await listed(BOB!), [["reader", false], ["owner", true]]);
  assertEquals((await it.members.get(BOB!, "notes")).offeredTo, BOB);
  assertEquals((await it.members.get(CAROL!, "notes")).offeredTo, undefined);
  await offer(CAROL!);
  await refused(accept(BOB!), "NotOffered");
  assertEquals([await listed(BOB!), await listed(CAROL!)], [
    [["reader", false]],
    [["reader", false], ["owner", true]],
  ]);

  const withdrawals = [
    () => cancel(ALICE!),
    () => cancel(CAROL!),
    () => it.members.ban(ALICE!, "notes", CAROL!),
    () => it.members.removeMember(ALICE!, "notes", CAROL!),
    () => it.members.removeMember(CAROL!, "notes", CAROL!),
  ];
  for (const withdraw of withdrawals) {
    await it.members.unban(ALICE!, "notes", CAROL!);
    await it.members.putMember(ALICE!, "notes", CAROL!, "reader");
    await offer(CAROL!);
    await refused(cancel(BOB!), "NotOffered");
    await withdraw();
    const { name } = await assertRejects(() => accept(CAROL!), Refusal);
    assert(name === "NotOffered" || name === "Forbidden");
    assert(!(await listed(CAROL!)).some(([role]) => role === "owner"));
  }
  await cancel(ALICE!); // there is nothing to take back

  await offer(BOB!);
  const [accepted, deleted] = await Promise.allSettled([
    accept(BOB!),
    (await it.another()).members.transfer(ALICE!, "notes", BOB!),
  ]);
  assertEquals([accepted.status, await it.members.roleOf(BOB!, "notes")], ["fulfilled", "owner"]);
  assert(deleted.status === "fulfilled" || deleted.reason instanceof Refusal);
  assertEquals(await it.members.roleOf(ALICE!, "notes"), "writer");
  assertEquals([await listed(ALICE!), await listed(BOB!)], [[["writer", false]], [[
    "owner",
    false,
  ]]]);
});

Deno.test("M20: what others offer a DID neither fails nor fills its list: who offers most loses first", async () => {
  await using it = await membersWorld({ limits: { pendingRooms: 5, roomsPerDid: 20 } });
  await it.members.admit(ALICE!, "hers");
  await it.members.putMember(ALICE!, "hers", BOB!, "writer");
  for (let n = 0; n < 20; n++) {
    it.clock.advance(100);
    await it.members.admit(CAROL!, `buy ${n}`);
    await it.members.putMember(CAROL!, `buy ${n}`, BOB!, "reader");
  }
  const all: string[] = [];
  let cursor: string | undefined;
  do {
    const page = await it.members.list(BOB!, 2, cursor);
    assert(page.items.length <= 2 && page.items.every(({ pending }) => pending));
    all.push(...page.items.map(({ room }) => room));
    ({ cursor } = page);
  } while (cursor !== undefined);
  assertEquals(all, ["buy 16", "buy 17", "buy 18", "buy 19", "hers"]);
  assertEquals(await it.members.admit(BOB!, "buy 0"), "reader", "it is listed no more, and open");
  for (let n = 0; n < 20; n++) assertEquals(await it.members.admit(BOB!, `bob's ${n}`), "owner");
  await refused(it.members.list(BOB!, 2, "x".repeat(3_000)), "InvalidRequest");
});

Deno.test("M21: removing or demoting a member ends what older invites do for them", async () => {
  await using it = await membersWorld();
  await it.members.admit(ALICE!, "notes");
  const invite = (role: MemberRole) =>
    it.invites.create(ALICE!, "notes", {
      role,
      expiresAt: it.clock.now() + 60_000,
      usesLeft: 100,
    });
  const open = (secret: string, did = BOB!) => it.invites.redeem(did, "notes", secret);
  const role = () => it.members.roleOf(BOB!, "notes");
  const old = await invite("writer");
  await open(old.secret);
  await it.members.removeMember(BOB!, "notes", BOB!);
  await open(old.secret); // who left by themselves may come back
  assertEquals(await role(), "writer");

  await it.members.removeMember(ALICE!, "notes", BOB!);
  await refused(open(old.secret), "InvalidInvite");
  await open(old.secret, CAROL!); // it is good for others
  const next = await invite("writer");
  await open(next.secret);
  assertEquals(await role(), "writer");
  await it.members.putMember(ALICE!, "notes", BOB!, "reader");
  for (const { secret } of [old, next]) await refused(open(secret), "InvalidInvite");
  await it.members.removeMember(BOB!, "notes", BOB!);
  for (const { secret } of [old, next]) await refused(open(secret), "InvalidInvite");
  await it.members.putMember(ALICE!, "notes", BOB!, "writer");
  assertEquals(await role(), "writer", "its owner can add them again by name");

  // Somebody who has left a moment before is kept out as well.
  const link = await invite("reader");
  await it.members.removeMember(BOB!, "notes", BOB!);
  await it.members.removeMember(ALICE!, "notes", BOB!);
  await it.members.removeMember(ALICE!, "notes", BOB!);
  await refused(open(link.secret), "InvalidInvite");
  const events = (await it.members.events(ALICE!, "notes", 2)).items.map(({ what }) => what);
  assertEquals(events, ["removeMember", "removeMember"], "the second one changed nothing");
});

Deno.test("M21: a removal beside the opening of a link leaves nobody in", async () => {
  for (let round = 0; round < 20; round++) {
    await using it = await membersWorld();
    const there = (await it.another()).invites;
    await it.members.admit(ALICE!, "notes");
    const terms = { role: "writer" as const, expiresAt: Infinity, usesLeft: 100 };
    const { secret } = await it.invites.create(ALICE!, "notes", terms);
    await it.members.putMember(ALICE!, "notes", BOB!, "reader");
    await Promise.allSettled([
      there.redeem(BOB!, "notes", secret),
      it.members.removeMember(ALICE!, "notes", BOB!),
      there.redeem(BOB!, "notes", secret),
    ]);
    assertEquals(await it.members.roleOf(BOB!, "notes"), null);
  }
});

Deno.test("M21: what is remembered of removals is bounded, and what is forgotten revokes the invites that it was about", async () => {
  await using it = await membersWorld();
  await it.members.admit(ALICE!, "notes");
  const terms = { role: "writer" as const, expiresAt: it.clock.now() + 60_000, usesLeft: 1_000 };
  const { secret } = await it.invites.create(ALICE!, "notes", terms);
  const removed = Array.from({ length: 130 }, (_, n) => `did:web:${"x".repeat(490)}${n}.example`);
  for (const [n, did] of removed.entries()) {
    if (n === 1) await it.invites.create(ALICE!, "notes", terms); // is older than all but one
    await it.members.removeMember(ALICE!, "notes", did);
  }
  assertEquals(await it.invites.list(ALICE!, "notes"), []);
  await refused(it.invites.redeem(removed[0]!, "notes", secret), "InvalidInvite");
  const { value } = await it.kv.get<{ since: Map<string, number> }>([
    "access",
    "notes",
    "removals",
  ]);
  assert(value!.since.size < 100);
  const fresh = await it.invites.create(ALICE!, "notes", terms);
  assertEquals((await it.kv.get(["access", "notes", "removals"])).value, null);
  await it.invites.redeem(removed[0]!, "notes", fresh.secret);
});

Deno.test("M22: who was banned and unbanned, whatever they were, has nothing that they were not given again", async () => {
  const invited = (it: World, did: string, secret: string) =>
    it.invites.redeem(did, "notes", secret);
  const ways: Record<string, (it: World, secret: string) => Promise<unknown>> = {
    "a visitor": () => Promise.resolve(),
    "a member by an invite": (it, secret) => invited(it, BOB!, secret),
    "a pending member": (it) => it.members.putMember(ALICE!, "notes", BOB!, "writer"),
    "a member who has come in": async (it) => {
      await it.members.putMember(ALICE!, "notes", BOB!, "writer");
      await it.members.admit(BOB!, "notes");
    },
    "a member to whom the room is offered": async (it, secret) => {
      await invited(it, BOB!, secret);
      await it.members.transfer(ALICE!, "notes", BOB!);
    },
    "a member of a room of version 0.1, which left its membership in the store": async (it) => {
      await it.members.ban(ALICE!, "notes", BOB!);
      const { value } = await it.kv.get<{ id: string; members: number }>(["access", "notes"]);
      const { bans: _, ...record } = { ...value!, bans: 1, members: value!.members + 1 };
      await it.kv.set(["access", "notes"], record);
      await it.kv.set(["access", "notes", "member", BOB!], { role: "writer", of: value!.id });
    },
  };
  for (const [what, make] of Object.entries(ways)) {
    await using it = await membersWorld({ limits: { members: 2 } });
    await it.members.admit(ALICE!, "notes");
    const terms = { role: "writer" as const, expiresAt: Infinity, usesLeft: 100 };
    const before = await it.invites.create(ALICE!, "notes", terms);
    await make(it, before.secret);
    const bob = async () => [
      await it.members.admit(BOB!, "notes"),
      (await it.members.list(BOB!, 9)).items,
    ];
    await it.members.ban(ALICE!, "notes", BOB!);
    assertEquals(await bob(), [null, []], what);
    const during = await it.invites.create(ALICE!, "notes", terms);
    for (const { secret } of [before, during]) {
      await refused(invited(it, BOB!, secret), "Forbidden");
    }
    await refused(it.members.putMember(ALICE!, "notes", BOB!, "reader"), "Banned");
    await refused(it.members.transfer(ALICE!, "notes", BOB!), "Banned");
    await refused(it.members.acceptTransfer(BOB!, "notes"), "Forbidden");

    await it.members.unban(ALICE!, "notes", BOB!);
    assertEquals(await bob(), [null, []], what);
    for (const { secret } of [before, during]) {
      await refused(invited(it, BOB!, secret), "InvalidInvite");
    }
    const { members, banned, offeredTo } = await it.members.get(ALICE!, "notes");
    assertEquals([members, banned, offeredTo], [[], [], undefined], what);
    await invited(it, CAROL!, before.secret); // it is good for others
    const after = await it.invites.create(ALICE!, "notes", terms);
    await invited(it, BOB!, after.secret); // and there is room for two members
    await refused(it.members.acceptTransfer(BOB!, "notes"), "NotOffered");
    assertEquals(await it.members.roleOf(BOB!, "notes"), "writer", what);
  }
});

Deno.test("M23: a room has so many bans at most, also when they come at once, and those of earlier versions count", async () => {
  await using it = await membersWorld({ limits: { bans: 20 } });
  const there = (await it.another()).members;
  await it.members.admit(ALICE!, "notes");
  const ban = (n: number, members = it.members) => members.ban(ALICE!, "notes", `did:plc:n${n}`);
  for (let n = 0; n < 10; n++) await ban(n);
  const { value } = await it.kv.get<{ bans?: number }>(["access", "notes"]);
  const { bans, ...uncounted } = value!;
  assertEquals(bans, 10);
  await it.kv.set(["access", "notes"], uncounted); // as it was stored before bans were counted
  const racers = Array.from({ length: 10 }, (_, n) => ban(10 + n, n % 2 ? it.members : there));
  await Promise.all(racers);
  await refused(ban(20), "TooManyBans");
  await ban(19); // is banned already
  await it.members.unban(ALICE!, "notes", "did:plc:n0");
  await it.members.unban(ALICE!, "notes", "did:plc:n0");
  await ban(20);
  await refused(ban(21), "TooManyBans");
  assertEquals((await it.members.get(ALICE!, "notes")).banned!.length, 20);
});

Deno.test("M25: a hundred calls of getRoom by one DID take turns, more are told to come back, and others do not wait", async () => {
  await using it = await membersWorld();
  await it.members.admit(ALICE!, "notes");
  await it.members.admit(BOB!, "bob's");
  const reads: string[] = [];
  const list = it.kv.list.bind(it.kv);
  it.kv.list = <T>(selector: Deno.KvListSelector, options?: Deno.KvListOptions) => {
    if ("prefix" in selector) {
      reads.push(`${String(selector.prefix[1])} ${String(selector.prefix[2])}`);
    }
    return list<T>(selector, options);
  };
  const asked = Array.from({ length: 120 }, () => it.members.get(ALICE!, "notes"));
  const other = it.members.get(BOB!, "bob's");
  const ended = await Promise.allSettled(asked);
  assertEquals((await other).role, "owner");
  const failed = ended.filter((end) => end.status === "rejected");
  assertEquals(failed.map(({ reason }) => reason.name), Array(20).fill("TooBusy"));
  const hers = reads.filter((read) => read.startsWith("notes"));
  assertEquals(hers, Array(100).fill(["notes member", "notes ban"]).flat());
  assert(reads.indexOf("bob's ban") < 10, "somebody else's call waited");
  await it.members.get(ALICE!, "notes");
});
