import { assert, assertEquals, assertRejects } from "@std/assert";
import * as Y from "yjs";
import { BackupError, exportRooms, type ImportOptions, importRooms } from "../src/cli/backup.ts";
import { allRooms, placeOn } from "../src/cli/place.ts";
import { Refusal } from "../src/refusal.ts";
import { membersWorld } from "./access/members_world.ts";

const [ALICE, BOB, CAROL, DAVE, EVE] = [
  "did:plc:alice",
  "did:plc:bob",
  "did:plc:carol",
  "did:plc:dave",
  "did:plc:eve",
] as const;

/** A document with what documents have: text, what was deleted of it, and a map. */
function document(seed: string): Uint8Array {
  const doc = new Y.Doc();
  doc.getText("text").insert(0, `hello ${seed}`.repeat(100));
  doc.getText("text").delete(3, 50);
  doc.getMap("map").set(seed, [1, { two: true }]);
  return Y.encodeStateAsUpdate(doc);
}

async function stored(kv: Deno.Kv, room: string): Promise<Uint8Array> {
  const doc = new Y.Doc();
  for (const update of await placeOn(kv).store.log(room).pull()) Y.applyUpdate(doc, update);
  return Y.encodeStateAsUpdate(doc);
}

async function write(kv: Deno.Kv, room: string, bytes = document(room)): Promise<void> {
  const log = placeOn(kv).store.log(room);
  await log.pull();
  await log.append(bytes);
}

/** A store to export from and one to import into, with a folder between them. */
async function worlds() {
  const [from, to] = [await membersWorld(), await membersWorld()];
  const folder = await Deno.makeTempDir();
  return {
    from,
    to,
    folder,
    exported: () =>
      Array.fromAsync(exportRooms(placeOn(from.kv), allRooms(from.kv), `${folder}/export`, 0)),
    imported: (options?: ImportOptions) =>
      Array.fromAsync(importRooms(placeOn(to.kv), `${folder}/export`, options)),
    async [Symbol.asyncDispose]() {
      await from[Symbol.asyncDispose]();
      await to[Symbol.asyncDispose]();
      await Deno.remove(folder, { recursive: true });
    },
  };
}

/** Changes the manifest of an export. */
// deno-lint-ignore no-explicit-any
async function tamper(folder: string, change: (manifest: any) => void): Promise<void> {
  const path = `${folder}/export/manifest.json`;
  const manifest = JSON.parse(await Deno.readTextFile(path));
  change(manifest);
  await Deno.writeTextFile(path, JSON.stringify(manifest));
}

Deno.test("B1: a round trip is exact, whatever the rooms are called, and twice is as good as once", async () => {
  await using it = await worlds();
  const names = ["notes", "Notes", "at://did:plc:x/y/z", "as/x", "🎉", "ä".repeat(256)];
  for (const name of names) await write(it.from.kv, name);
  assertEquals((await it.exported()).filter(({ error }) => error), []);
  for (let round = 0; round < 2; round++) {
    const outcomes = await it.imported();
    assertEquals(outcomes.filter(({ error }) => error), []);
    assertEquals(outcomes.every(({ bytes }) => (bytes > 0) === (round === 0)), true);
  }
  for (const name of names) {
    assertEquals(await stored(it.to.kv, name), await stored(it.from.kv, name), name);
  }
  await assertRejects(it.exported, BackupError, "already");
});

Deno.test("B2: a file that is not what was exported is not imported, and the others are", async () => {
  await using it = await worlds();
  for (const room of ["good", "bad", "bad access"]) {
    await it.from.members.admit(ALICE, room);
    await write(it.from.kv, room);
  }
  await it.exported();
  await tamper(it.folder, ({ rooms }) => {
    for (const { name, file, access } of rooms) {
      const path = `${it.folder}/export/${name === "bad" ? file : access.file}`;
      const bytes = Deno.readFileSync(path);
      bytes[20]! ^= 1;
      if (name !== "good") Deno.writeFileSync(path, bytes);
    }
  });
  const failed = (await it.imported()).filter(({ error }) => error).map(({ room }) => room);
  assertEquals(failed.toSorted(), ["bad", "bad access"]);
  assertEquals(await Array.fromAsync(allRooms(it.to.kv)), ["good"]);
});

Deno.test("B7: who may do what travels with the document, and also without one", async () => {
  await using it = await worlds();
  const { members, invites, clock } = it.from;
  for (const room of ["notes", "empty"]) await members.admit(ALICE, room);
  await write(it.from.kv, "notes");
  await members.putMember(ALICE, "empty", BOB, "writer");
  await members.putMember(ALICE, "notes", BOB, "writer");
  await members.admit(BOB, "notes");
  await members.putMember(ALICE, "notes", CAROL, "reader");
  await members.ban(ALICE, "notes", EVE);
  await members.setVisibility(ALICE, "notes", "public-read");
  const terms = { role: "writer", expiresAt: clock.now() + 60_000, usesLeft: 9 } as const;
  const { secret, id } = await invites.create(ALICE, "notes", terms);
  await invites.redeem(DAVE, "notes", secret);
  await members.removeMember(ALICE, "notes", DAVE);
  await members.transfer(ALICE, "notes", BOB);
  assertEquals((await it.exported()).filter(({ error }) => error), []);
  assertEquals((await it.imported()).map(({ access }) => access), [
    "with its access",
    "with its access",
  ]);

  for (const room of ["notes", "empty"]) {
    const read = ({ kv }: { kv: Deno.Kv }) => placeOn(kv).access.read(room);
    assertEquals(await read(it.to), await read(it.from), room);
    for (const who of [ALICE, BOB, CAROL, DAVE, EVE]) {
      assertEquals(await it.to.members.roleOf(who, room), await members.roleOf(who, room));
      assertEquals((await it.to.members.list(who, 9)).items, (await members.list(who, 9)).items);
    }
  }
  const there = it.to;
  await assertRejects(() => there.invites.redeem(DAVE, "notes", secret), Refusal, "unknown");
  await assertRejects(() => there.invites.redeem(EVE, "notes", secret), Refusal, "owner");
  await there.invites.redeem("did:plc:frank", "notes", secret);
  await there.members.acceptTransfer(BOB, "notes");
  await there.admin.delete(BOB, "notes");
  await there.admin.delete(ALICE, "empty");
  const left = await Array.fromAsync(there.kv.list({ prefix: [] }), ({ key }) => key.join(" "));
  assertEquals(left.filter((key) => /notes|empty|owned/.test(key)), []);

  const files = await Array.fromAsync(Deno.readDir(`${it.folder}/export`));
  for (const { name } of files) {
    const path = `${it.folder}/export/${name}`;
    assertEquals((await Deno.stat(path)).mode! & 0o777, 0o600, name);
    assert(!(await Deno.readTextFile(path)).includes(secret.split(".")[1]!));
  }
  assert(files.length === 5 && id.length > 0);
});

Deno.test("B7: of a room of a thousand members, bans and events, all travel", async () => {
  await using it = await worlds();
  await it.from.members.admit(ALICE, "notes");
  const access = (await placeOn(it.from.kv).access.read("notes"))!;
  const dids = Array.from({ length: 1_000 }, (_, n) => `did:web:${"x".repeat(200)}${n}.example`);
  const event = { by: ALICE, what: "ban", at: 0 };
  const large = {
    ...access,
    members: dids.map((did) => ({ did, role: "reader" as const })),
    banned: dids.map((did) => did.replace("x", "y")),
    events: dids.map((did, n) => ({ ...event, n: n + 1, did })),
    lastEvent: 1_000,
  };
  const { access: archive } = placeOn(it.from.kv);
  await archive.write("notes", large, await archive.record("notes"));
  await it.exported();
  await it.imported();
  const read = (await placeOn(it.to.kv).access.read("notes"))!;
  const counts = [read.members.length, read.banned.length, read.events.length];
  assertEquals(counts, [1_000, 1_000, 1_000]);
  assertEquals(await it.to.members.roleOf(dids[999]!, "notes"), "reader");
});

Deno.test("B8: a room that is imported without an owner belongs to nobody until it is given one", async () => {
  await using it = await worlds();
  const named = `at://${ALICE}/app.notes/3k`;
  for (const room of ["notes", "others", named]) await write(it.from.kv, room);
  await it.exported();
  await tamper(it.folder, (manifest) => {
    manifest.version = 1; // as version 0.1 wrote it
    for (const room of manifest.rooms) delete room.access;
  });
  const outcomes = await it.imported({ only: ["notes", named] });
  assertEquals(outcomes.map(({ room, access }) => [room, access]), [
    [named, "its name says whose it is"],
    ["notes", "it belongs to nobody: `deno task own` gives it an owner"],
  ]);
  await it.imported({ only: ["others"], owner: BOB });
  const admit = (did: string, room: string) => it.to.members.admit(did, room);
  assertEquals([await admit(EVE, "notes"), await admit(EVE, "others")], [null, null]);
  assertEquals([await admit(EVE, named), await admit(ALICE, named)], [null, "owner"]);
  assertEquals(await admit(BOB, "others"), "owner");
  const { access } = placeOn(it.to.kv);
  await access.assign("notes", CAROL);
  assertEquals(await admit(CAROL, "notes"), "owner");
  const bad = [["notes", BOB, CAROL], [named, BOB, "name"], ["new", "carol", "DID"]] as const;
  for (const [room, did, words] of bad) {
    await assertRejects(() => access.assign(room, did), Error, words);
  }
});

Deno.test("B9: a room that is there keeps its access, unless told otherwise, and no stranger gets the document", async () => {
  await using it = await worlds();
  await it.from.members.admit(ALICE, "notes");
  await it.from.members.putMember(ALICE, "notes", BOB, "writer");
  await write(it.from.kv, "notes");
  await it.exported();
  const outcome = async (existing?: "keep" | "replace") => (await it.imported({ existing }))[0]!;

  await it.to.members.admit(EVE, "notes");
  await it.to.members.putMember(EVE, "notes", CAROL, "writer");
  const { error } = await outcome();
  assert(error!.includes(EVE) && error!.includes(ALICE));
  assertEquals(await placeOn(it.to.kv).store.log("notes").pull(), []);
  assertEquals((await outcome("replace")).error, undefined);
  const roles = async () =>
    await Promise.all([ALICE, BOB, CAROL, EVE].map((did) => it.to.members.roleOf(did, "notes")));
  assertEquals(await roles(), ["owner", "writer", null, null]);
  for (const did of [CAROL, EVE]) assertEquals((await it.to.members.list(did, 9)).items, []);
  assertEquals((await it.to.kv.get(["rooms owned", EVE])).value, null);

  await it.to.members.removeMember(ALICE, "notes", BOB);
  const { access } = await outcome();
  assertEquals([access, await it.to.members.roleOf(BOB, "notes")], [
    "the access that it had here was kept",
    null,
  ]);
  await it.to.admin.delete(ALICE, "notes");
  await it.to.members.admit(EVE, "notes");
  assertEquals((await outcome("keep")).error, undefined);
  assertEquals(await roles(), [null, null, null, "owner"]);
});

Deno.test("B10: a room that the service would not have, or that the manifest says nonsense of, is not imported, and the others are", async () => {
  await using it = await worlds();
  await write(it.from.kv, "good");
  await it.from.members.admit(ALICE, "owned");
  await it.exported();
  const owned = await placeOn(it.from.kv).access.read("owned");
  const bad: [name: unknown, change: (room: Record<string, unknown>) => void][] = [
    ["x".repeat(513), () => {}],
    ["..", () => {}],
    ["a\u0000b", () => {}],
    ["", () => {}],
    ["\ud800", () => {}],
    [7, () => {}],
    ["outside", (room) => room.file = "../good.yjs"],
    ["negative", (room) => room.bytes = -1],
    ["too long", (room) => room.bytes = Number(room.bytes) + 1],
    ["no access", (room) => room.access = { file: "none.access.json", sha256: "" }],
    ["twice", () => {}],
    ["twice", () => {}],
  ];
  await tamper(it.folder, ({ rooms }) => {
    const good = rooms.find(({ name }: { name: string }) => name === "good");
    for (const [name, change] of bad) {
      const room = { ...good, name };
      change(room);
      rooms.unshift(room);
    }
    rooms.unshift(null, "good");
  });
  const outcomes = await it.imported();
  assertEquals(outcomes.filter(({ error }) => !error).map(({ room }) => room).toSorted(), [
    "good",
    "owned",
  ]);
  assertEquals(outcomes.length, bad.length - 1 + 2 + 2);
  assertEquals((await Array.fromAsync(allRooms(it.to.kv))).toSorted(), ["good", "owned"]);

  const { access } = placeOn(it.to.kv);
  const other = `${BOB}/notes`;
  await assertRejects(
    async () => await access.write(other, owned!, await access.record(other)),
    Error,
    "name",
  );
});

Deno.test("B11: an export that is made while people are taken out, and rooms deleted, lets nobody in", async () => {
  await using it = await worlds();
  const { members, admin, kv } = it.from;
  await members.admit(ALICE, "notes");
  await members.putMember(ALICE, "notes", BOB, "writer");
  await write(kv, "notes", document("Alice's"));
  const place = placeOn(kv);
  const { log } = place.store;
  let reads = 0;
  // After the first read of the document the room becomes somebody else's; after the second, Carol leaves.
  place.store.log = (room) => {
    const inner = log.call(place.store, room);
    const { pull } = inner;
    inner.pull = async () => {
      const updates = await pull.call(inner);
      if (++reads === 1) {
        await admin.delete(ALICE, "notes");
        await members.admit(EVE, "notes");
        await members.putMember(EVE, "notes", CAROL, "writer");
        await write(kv, "notes", document("Eve's"));
      } else await members.removeMember(EVE, "notes", CAROL);
      return updates;
    };
    return inner;
  };
  await Array.fromAsync(exportRooms(place, ["notes"], `${it.folder}/export`, 0));
  await it.imported();
  const roles = [ALICE, BOB, CAROL, EVE].map((did) => it.to.members.roleOf(did, "notes"));
  assertEquals(await Promise.all(roles), [null, null, null, "owner"]);
  assertEquals(await stored(it.to.kv, "notes"), await stored(kv, "notes"));
});
