/** Access that was removed stays removed; access that was granted stays granted. */
import { assert, assertEquals } from "@std/assert";
import { dose, MALLORY, roleOf, Target } from "./target.ts";

const ALICE = "did:plc:aliceaaaaaaaaaaaaaaaaaaa";
const BOB = "did:plc:bobbbbbbbbbbbbbbbbbbbbbb";
const CAROL = "did:plc:carolcccccccccccccccccc";
const DAVE = "did:plc:davedddddddddddddddddddd";
const ROOM = "private";

Deno.test("HP15: who was let into a room while it was deleted is not let into the next of its name", async () => {
  await using target = await Target.start();
  const rounds = dose(25, 200);
  const wrong: string[] = [];
  for (let n = 0; n < rounds; n++) {
    const room = `deleted ${n}`;
    await roleOf(target, ALICE, room);
    const terms = { room, role: "writer", uses: 10 };
    const { secret: early } = await target.call("createInvite", ALICE, terms);
    const changes = [
      () => target.call("putMember", ALICE, { room, member: BOB, role: "writer" }),
      () => target.call("createInvite", ALICE, terms),
      () => target.call("redeemInvite", CAROL, { room, secret: early }),
      () => target.call("setVisibility", ALICE, { room, visibility: "public-write" }),
    ];
    // The deletion comes before, between or after them.
    const calls = changes.toSpliced(n % (changes.length + 1), 0, async () => {
      return await target.call("deleteRoom", ALICE, { room });
    });
    const late = (await Promise.all(calls.map((call) => call()))).map(({ secret }) => secret);
    const owner = await roleOf(target, DAVE, room);
    if (owner !== "owner") wrong.push(`${n}: dave is ${owner}`);
    for (const did of [ALICE, BOB, CAROL]) {
      const role = await roleOf(target, did, room);
      if (role !== "Forbidden") wrong.push(`${n}: ${did} is ${role}`);
    }
    for (const secret of [early, ...late]) {
      if (secret === undefined) continue;
      const { error } = await target.call("redeemInvite", MALLORY, { room, secret });
      if (error === undefined) wrong.push(`${n}: an old invite opens it`);
    }
  }
  console.log(`HP15 (B2): ${wrong.length} of ${rounds * 6} wrong; ${wrong.slice(0, 3)}`);
  assertEquals(wrong, []);
});

Deno.test("HP16: an invite gives nothing to whom the owner has removed, demoted or banned", async () => {
  await using target = await Target.start();
  await roleOf(target, ALICE, ROOM);
  const { secret } = await target.call("createInvite", ALICE, {
    ...{ room: ROOM, role: "writer", uses: 100 },
  });
  const redeem = (did: string) => target.call("redeemInvite", did, { room: ROOM, secret });
  const change = (method: string, member: string, more = {}) =>
    target.call(method, ALICE, { room: ROOM, member, ...more });
  for (const did of [BOB, CAROL, DAVE]) assertEquals((await redeem(did)).role, "writer");
  await change("removeMember", BOB);
  await change("putMember", CAROL, { role: "reader" });
  await change("ban", DAVE);
  for (const did of [BOB, CAROL, DAVE]) await redeem(did);
  const roles = [];
  for (const did of [BOB, CAROL, DAVE]) roles.push(await roleOf(target, did, ROOM));
  console.log(`HP16 (B3): after redeeming again, removed, demoted and banned are ${roles}`);
  assertEquals(roles, ["Forbidden", "reader", "Forbidden"]);
  await change("putMember", BOB, { role: "writer" });
  assertEquals(await roleOf(target, BOB, ROOM), "writer", "the owner can add them again by name");
  await change("ban", BOB);
  for (const did of [BOB, DAVE]) {
    await change("unban", did);
    await redeem(did);
    assertEquals(await roleOf(target, did, ROOM), "Forbidden", "an unban gives nothing back");
  }
});

Deno.test("HP17: rooms that others give somebody fill neither their quota nor their list", async () => {
  const most = 3;
  await using target = await Target.start({ MAX_ROOMS_PER_DID: String(most) });
  for (let n = 0; n < most; n++) {
    const room = `a text of mallory's ${n}`;
    await roleOf(target, `did:web:m${n}.example`, room);
    await target.call("putMember", `did:web:m${n}.example`, {
      room,
      member: ALICE,
      role: "writer",
    });
    await target.call("transferRoom", `did:web:m${n}.example`, { room, member: ALICE });
  }
  const { rooms } = await target.query("listRooms", ALICE, {});
  const own = [];
  const named = await roleOf(target, ALICE, `at://${ALICE}/app.notes/3k`);
  for (let n = 1; n < most; n++) own.push(await roleOf(target, ALICE, `alice's ${n}`));
  console.log(`HP17 (B4): her list is ${JSON.stringify(rooms)}; her own ${own}; by name ${named}`);
  assertEquals([named, ...own], ["owner", "owner", "owner"]);
  assert(rooms.every(({ pending }: { pending?: boolean }) => pending === true), "all are pending");
});

Deno.test("HP19: headers that the proxy does not write choose no address, and reach no log", async () => {
  await using target = await Target.start({
    TRUSTED_PROXIES: "127.0.0.1, ::1",
    REQUESTS_PER_ADDRESS: "60",
  });
  const ask = async (headers: Record<string, string>) => {
    const response = await fetch(`${target.url}/`, { headers });
    await response.body?.cancel();
    return response.status;
  };
  let refused = 0;
  const words = "<script>alert(1)</script>";
  for (let n = 0; n < 120; n++) {
    const forged = n % 2 === 0 ? `for=203.0.113.${n}` : `for="${words}${n}"`;
    const headers = { forwarded: forged, "x-forwarded-for": "198.51.100.7" };
    if (await ask(headers) === 429) refused++;
  }
  let odd = 0;
  for (let n = 0; n < 120; n++) {
    if (await ask({ "x-forwarded-for": `${words}${n}` }) === 429) odd++;
  }
  const lines = target.server.log.filter((line) => /script|203\.0\.113/.test(line)).length;
  console.log(
    `HP19 (B6): ${refused} and ${odd} of 120 refused; ${lines} log lines with forged text`,
  );
  assertEquals([refused >= 60, odd > 0, lines], [true, true, 0]);
});
