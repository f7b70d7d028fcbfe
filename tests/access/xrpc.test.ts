import { assert, assertEquals, assertRejects } from "@std/assert";
import { Lexicons } from "@atproto/lexicon";
import { systemClock } from "../../src/clock.ts";
import { createSyncService } from "../../src/mod.ts";
import { connectPeer, getTicket } from "../outside/clients.ts";
import { ALICE, BOB, DEV_TOKEN, startService } from "../http/service.ts";
import { until } from "../until.ts";

const CAROL = "did:plc:carolcccccccccccccccccc";
const METHODS = "/xrpc/com.example.sync";

/** A service whose rooms have members, and calls of its methods by a DID. */
async function start() {
  const it = await startService({ policy: "members" });
  const known = new Lexicons((await (await it.call("/lexicons")).json()).lexicons);
  const read = async (method: string, response: Response) => {
    const body = await response.json();
    if (response.ok) known.assertValidXrpcOutput(`com.example.sync.${method}`, body);
    return { status: response.status, ...body };
  };
  return {
    ...it,
    post: async (method: string, did: string, input: object) =>
      await read(method, await it.callAs(`${METHODS}.${method}`, { did, ...input })),
    get: async (method: string, did: string, params: Record<string, string> = {}) =>
      await read(
        method,
        await it.callAs(`${METHODS}.${method}?${new URLSearchParams({ did, ...params })}`),
      ),
  };
}

Deno.test("M10: an app shares a room with three people, makes it public, and takes someone out", async () => {
  await using it = await start();
  const room = `at://${ALICE}/app.notes/3k`;
  const ticket = async (did: string) => {
    const { status, role, error } = await it.post("getTicket", did, { room });
    return status === 200 ? role : error;
  };
  assertEquals([await ticket(ALICE), await ticket(BOB)], ["owner", "Forbidden"]);
  const ok = { status: 200 };
  assertEquals(await it.post("putMember", ALICE, { room, member: BOB, role: "writer" }), ok);
  assertEquals(await it.post("putMember", ALICE, { room, member: CAROL, role: "reader" }), ok);
  const pending = { room, role: "writer", pending: true, by: ALICE };
  assertEquals((await it.get("listRooms", BOB)).rooms, [pending]);
  assertEquals([await ticket(BOB), await ticket(CAROL)], ["writer", "reader"]);
  assertEquals((await it.get("listRooms", BOB)).rooms, [{ room, role: "writer" }]);
  assertEquals(await it.post("setVisibility", ALICE, { room, visibility: "public-read" }), ok);
  assertEquals(await it.post("removeMember", ALICE, { room, member: BOB }), ok);
  assertEquals(await it.post("ban", ALICE, { room, member: CAROL }), ok);
  assertEquals([await ticket(BOB), await ticket(CAROL)], ["reader", "Forbidden"]);
  assertEquals(await it.post("unban", ALICE, { room, member: CAROL }), ok);
  assertEquals(await it.get("getRoom", ALICE, { room }), {
    status: 200,
    room,
    role: "owner",
    owner: ALICE,
    visibility: "public-read",
    members: [],
    banned: [],
    invites: [],
  });
  assertEquals((await it.get("listRooms", CAROL)).rooms, []);
  const first = await it.get("listEvents", ALICE, { room, limit: "5" });
  const second = await it.get("listEvents", ALICE, { room, limit: "5", cursor: first.cursor });
  const events = [...first.events, ...second.events];
  assertEquals(events.map(({ what }) => what), [
    ...["unban", "ban", "removeMember", "setVisibility", "putMember", "putMember", "create"],
  ]);
  assert(events.every(({ by, at }) => by === ALICE && !Number.isNaN(Date.parse(at))));
});

Deno.test("M10: what is wrong with a call is said in words", async () => {
  await using it = await start();
  await it.post("getTicket", ALICE, { room: "notes" });
  const wrong: [what: string, call: Promise<{ status: number; error: string }>, error: string][] = [
    ["no room", it.post("putMember", ALICE, { member: BOB, role: "writer" }), "InvalidRequest"],
    ["no DID", it.post("ban", ALICE, { room: "notes", member: "bob" }), "InvalidRequest"],
    [
      "no role",
      it.post("putMember", ALICE, { room: "notes", member: BOB, role: "owner" }),
      "InvalidRequest",
    ],
    [
      "no visibility",
      it.post("setVisibility", ALICE, { room: "notes", visibility: "?" }),
      "InvalidRequest",
    ],
    ["no number", it.get("listRooms", ALICE, { limit: "many" }), "InvalidRequest"],
    ["too many", it.get("listRooms", ALICE, { limit: "101" }), "InvalidRequest"],
    ["no cursor", it.get("listEvents", ALICE, { room: "notes", cursor: "?" }), "InvalidRequest"],
    ["too long a name", it.get("getRoom", ALICE, { room: "x".repeat(600) }), "InvalidRequest"],
    ["the owner", it.post("ban", ALICE, { room: "notes", member: ALICE }), "IsOwner"],
  ];
  for (const [what, call, error] of wrong) {
    const answer = await call;
    assertEquals([answer.status, answer.error], [400, error], what);
  }
  const { status, error } = await it.post("ban", BOB, { room: "notes", member: CAROL });
  assertEquals([status, error], [403, "Forbidden"]);
});

Deno.test("M12: anyone with the link comes in, as often as the invite says", async () => {
  await using it = await start();
  const room = "notes";
  await it.post("getTicket", ALICE, { room });
  const invite = await it.post("createInvite", ALICE, { room, role: "writer", uses: 2 });
  assertEquals(invite.status, 200);
  assertEquals(Date.parse(invite.expiresAt), it.clock.now() + 7 * 24 * 60 * 60_000);
  const { secret } = invite;
  const joined = await it.post("redeemInvite", BOB, { room, secret });
  assertEquals([joined.status, joined.role], [200, "writer"]);
  assertEquals((await it.post("getTicket", BOB, { room })).role, "writer");
  const { invites } = await it.get("getRoom", ALICE, { room });
  assertEquals(
    invites.map(({ id, usesLeft }: { id: string; usesLeft: number }) => [id, usesLeft]),
    [
      [invite.id, 1],
    ],
  );
  assertEquals((await it.get("getRoom", BOB, { room })).invites, undefined);
  assertEquals((await it.post("revokeInvite", ALICE, { room, id: invite.id })).status, 200);
  assertEquals((await it.post("redeemInvite", CAROL, { room, secret })).error, "InvalidInvite");
  assertEquals((await it.post("acceptTransfer", BOB, { room })).error, "NotOffered");
  assertEquals((await it.post("transferRoom", ALICE, { room, member: BOB })).status, 200);
  assertEquals((await it.get("getRoom", ALICE, { room })).offeredTo, BOB);
  assertEquals((await it.get("listRooms", BOB)).rooms, [
    { room, role: "writer" },
    { room, role: "owner", pending: true, by: ALICE },
  ]);
  assertEquals((await it.post("cancelTransfer", ALICE, { room })).status, 200);
  assertEquals((await it.post("transferRoom", ALICE, { room, member: BOB })).status, 200);
  assertEquals((await it.post("acceptTransfer", BOB, { room })).status, 200);
  assertEquals((await it.get("getRoom", ALICE, { room })).role, "writer");
  const { events } = await it.get("listEvents", BOB, { room });
  assertEquals(events.map(({ what }: { what: string }) => what), [
    ...["acceptTransfer", "transfer", "cancelTransfer", "transfer"],
    ...["revokeInvite", "redeemInvite", "createInvite", "create"],
  ]);
});

Deno.test("M10: where rooms have no members, the methods say so", async () => {
  await using it = await startService();
  const answer = await it.callAs(`${METHODS}.ban`, { did: ALICE, room: "notes", member: BOB });
  assertEquals([answer.status, (await answer.json()).error], [501, "MethodNotImplemented"]);
});

/** A service that listens, on a store that it may share, with calls about the room `notes`. */
function listen(kv: Deno.Kv) {
  const service = createSyncService({
    publicUrl: "http://localhost",
    policy: "members",
    devToken: DEV_TOKEN,
    clock: systemClock,
    kv,
  });
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, service.fetch);
  const host = `127.0.0.1:${server.addr.port}`;
  return {
    async call(method: string, did: string, input: object = {}) {
      const response = await fetch(`http://${host}/xrpc/chat.roomy.v0.sync.${method}`, {
        method: "POST",
        headers: { authorization: `Bearer ${DEV_TOKEN}` },
        body: JSON.stringify({ did, room: "notes", ...input }),
      });
      assertEquals([response.status, await response.json()], [200, {}]);
    },
    peer: (did: string) =>
      connectPeer({ url: `http://${host}`, socketUrl: `ws://${host}` }, did, "notes"),
    ticket: (did: string) => getTicket(`http://${host}`, did, "notes"),
    /** Opens a socket with a ticket. Rejects if it is refused. */
    open: (ticket: string) =>
      new Promise<void>((resolve, reject) => {
        const socket = new WebSocket(`ws://${host}/sync/notes`, ["authorization", ticket]);
        socket.onopen = () => resolve();
        socket.onerror = () => reject(new Error("refused"));
      }),
    async stop() {
      await service.shutdown();
      await server.shutdown();
    },
  };
}

/** Alice's notes, where Bob has written `hello` on another instance than hers. */
async function shareNotes(kv: Deno.Kv) {
  const [here, there] = [listen(kv), listen(kv)];
  const alice = await here.peer(ALICE);
  await here.call("putMember", ALICE, { member: BOB, role: "writer" });
  const bob = await there.peer(BOB);
  bob.text.insert(0, "hello");
  bob.probe(1);
  await bob.hears("ack 1");
  return { here, alice, bob, stop: () => Promise.all([here.stop(), there.stop()]) };
}

Deno.test("M8: who is taken out loses its socket on another instance, and a reader cannot write there", async () => {
  using kv = await Deno.openKv(":memory:");
  const { here, alice, bob, stop } = await shareNotes(kv);

  await here.call("putMember", ALICE, { member: BOB, role: "reader" });
  await bob.hears("role reader");
  bob.text.insert(5, " again");
  await bob.hears("denied");
  await here.call("ban", ALICE, { member: BOB });
  assertEquals((await bob.isClosed()).code, 4403);
  alice.probe(2);
  await alice.hears("ack 2");
  assertEquals(alice.text.toString(), "hello");
  alice.leave();
  await stop();
});

Deno.test("M13: who is in a room that is deleted is closed with 4404, on every instance", async () => {
  using kv = await Deno.openKv(":memory:");
  const { here, alice, bob, stop } = await shareNotes(kv);
  await here.call("deleteRoom", ALICE);
  assertEquals((await alice.isClosed()).code, 4404);
  assertEquals((await bob.isClosed()).code, 4404);
  await until(async () => {
    const keys = await Array.fromAsync(kv.list({ prefix: [] }), ({ key }) => key.join(" "));
    return !keys.some((key) => key.includes("notes"));
  });
  await stop();
});

Deno.test("M13: nobody stays in a deleted room in which nobody had written", async () => {
  using kv = await Deno.openKv(":memory:");
  const here = listen(kv);
  const alice = await here.peer(ALICE);
  alice.probe(1); // or what it still has to say would cut the line before it has read why
  await alice.hears("ack 1");
  await here.call("deleteRoom", ALICE);
  assertEquals((await alice.isClosed()).code, 4404);
  await here.stop();
});

Deno.test("U8: a ticket for a room that was deleted opens nothing, nor the room of the next owner", async () => {
  using kv = await Deno.openKv(":memory:");
  const here = listen(kv);
  await here.ticket(ALICE);
  await here.call("putMember", ALICE, { member: BOB, role: "writer" });
  const tickets = [await here.ticket(BOB), await here.ticket(BOB), await here.ticket(ALICE)];
  await here.call("deleteRoom", ALICE);
  await assertRejects(() => here.open(tickets[0]!));
  await here.ticket(CAROL); // and so it is hers
  for (const ticket of tickets.slice(1)) await assertRejects(() => here.open(ticket));
  const owner = await here.peer(CAROL);
  owner.leave();
  await here.stop();
});
