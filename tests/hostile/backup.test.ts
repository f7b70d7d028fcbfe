/** Access after a backup. */
import { assert, assertEquals } from "@std/assert";
import { connectPeer } from "../outside/clients.ts";
import { runTask } from "../outside/server_process.ts";
import { MALLORY, roleOf, Target, TARGET_FOLDER } from "./target.ts";

const ALICE = "did:plc:aliceaaaaaaaaaaaaaaaaaaa";
const BOB = "did:plc:bobbbbbbbbbbbbbbbbbbbbbb";
const CAROL = "did:plc:carolcccccccccccccccccc";
const DAVE = "did:plc:davedddddddddddddddddddd";
const ROOM = "private";

Deno.test("HP14: a room that is exported and imported belongs to whom it did before", async () => {
  const folder = await Deno.makeTempDir();
  const backup = `${folder}/backup`;
  const secrets: string[] = [];
  {
    await using target = await Target.start();
    await roleOf(target, ALICE, ROOM);
    const put = (member: string, role: string) =>
      target.call("putMember", ALICE, { room: ROOM, member, role });
    await put(BOB, "writer");
    await put(CAROL, "reader");
    for (const did of [BOB, CAROL]) await roleOf(target, did, ROOM);
    await target.call("ban", ALICE, { room: ROOM, member: DAVE });
    secrets.push(
      (await target.call("createInvite", ALICE, { room: ROOM, role: "reader" })).secret,
    );
    const alice = await connectPeer(target, ALICE, ROOM);
    alice.text.insert(0, "hello");
    alice.probe(1);
    await alice.hears("ack 1");
    alice.leave();
    const env = { KV_PATH: target.kvPath };
    assertEquals((await runTask("export", ["--all", backup], env, TARGET_FOLDER)).code, 0);
  }
  const kvPath = `${folder}/empty.sqlite3`;
  assertEquals((await runTask("import", [backup], { KV_PATH: kvPath }, TARGET_FOLDER)).code, 0);
  await using target = await Target.start({ KV_PATH: kvPath });
  const roles = [];
  // The stranger asks first.
  for (const did of [MALLORY, ALICE, BOB, CAROL, DAVE]) roles.push(await roleOf(target, did, ROOM));
  console.log(`HP14 (B1): after the import, mallory, alice, bob, carol and dave are ${roles}`);
  assertEquals(roles, ["Forbidden", "owner", "writer", "reader", "Forbidden"]);
  const redeem = async (did: string) =>
    (await target.call("redeemInvite", did, { room: ROOM, secret: secrets[0] })).error ??
      "redeemed";
  assertEquals([await redeem(DAVE), await redeem(MALLORY)], ["Forbidden", "redeemed"]);
  const { events } = await target.query("listEvents", ALICE, { room: ROOM });
  assert(events.some(({ what }: { what: string }) => what === "ban"), "its history is there");
  await Deno.remove(folder, { recursive: true });
});

Deno.test("HP14: a room that is imported without its access belongs to nobody until the operator says so", async () => {
  const folder = await Deno.makeTempDir();
  const backup = `${folder}/backup`;
  {
    await using target = await Target.start();
    const alice = await connectPeer(target, ALICE, ROOM);
    alice.text.insert(0, "hello");
    alice.probe(1);
    await alice.hears("ack 1");
    alice.leave();
    assertEquals(
      (await runTask("export", [ROOM, backup], { KV_PATH: target.kvPath }, TARGET_FOLDER)).code,
      0,
    );
  }
  const manifest = JSON.parse(await Deno.readTextFile(`${backup}/manifest.json`));
  for (const room of manifest.rooms) delete room.access; // as an older version wrote it
  await Deno.writeTextFile(`${backup}/manifest.json`, JSON.stringify(manifest));
  const env = { KV_PATH: `${folder}/empty.sqlite3` };
  await runTask("import", [backup], env, TARGET_FOLDER);
  {
    await using target = await Target.start(env);
    const roles = [];
    for (const did of [MALLORY, ALICE, MALLORY]) roles.push(await roleOf(target, did, ROOM));
    console.log(`HP14 (B1): of a room without an owner, mallory, alice and mallory get ${roles}`);
    assertEquals(roles, ["Forbidden", "Forbidden", "Forbidden"]);
  }
  assertEquals((await runTask("own", [ROOM, ALICE], env, TARGET_FOLDER)).code, 0);
  await using target = await Target.start(env);
  assertEquals(await roleOf(target, ALICE, ROOM), "owner");
  await Deno.remove(folder, { recursive: true });
});
