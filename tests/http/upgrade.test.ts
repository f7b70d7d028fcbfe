import { assert, assertEquals } from "@std/assert";
import { open, sharedToken, verify } from "../../src/mod.ts";
import { until } from "../until.ts";
import { handshake } from "./handshake.ts";
import { listen } from "./listen.ts";
import { ALICE, BOB, DEV_TOKEN, GET_TICKET } from "./service.ts";

Deno.test("U1: a ticket opens its room, once, and the answer is `authorization` and never the ticket", async () => {
  await using it = await listen();
  const ticket = await it.ticket("notes");
  assertEquals(await it.knock("/sync/notes", ticket), "101 authorization");
  assertEquals(await it.knock("/sync/notes", ticket), "401 InvalidTicket");
});

Deno.test("U2: the room is the rest of the path, percent-decoded, and may be an AT-URI", async () => {
  await using it = await listen();
  const uri = `at://${ALICE}/com.example.doc/3k`;
  const rooms: [room: string, path: string][] = [
    [uri, uri],
    [uri, encodeURIComponent(uri)],
    ["a/b//c", "a/b//c"],
    ["trailing/", "trailing/"],
    ["ä € 🎉", encodeURIComponent("ä € 🎉")],
    ["100%", "100%25"],
    ["as/it was", "as%2Fit%20was"],
    ["what?", "what%3F?query=ignored"],
    ["x".repeat(512), "x".repeat(512)],
  ];
  for (const [room, path] of rooms) {
    assertEquals(await it.knock(`/sync/${path}`, await it.ticket(room)), "101 authorization", path);
  }
});

Deno.test("U3: /sync/as/<did>/<room> takes the ticket of that DID alone", async () => {
  await using it = await listen();
  assertEquals(
    await it.knock(`/sync/as/${ALICE}/notes`, await it.ticket("notes")),
    "101 authorization",
  );
  assertEquals(await it.knock(`/sync/as/${BOB}/notes`, await it.ticket("notes")), "403 Forbidden");
  const encoded = encodeURIComponent(ALICE);
  assertEquals(
    await it.knock(`/sync/as/${encoded}/notes`, await it.ticket("notes")),
    "101 authorization",
  );
  const local = "did:web:localhost%3A8000";
  const path = `/sync/as/${local}/a/b`;
  assertEquals(await it.knock(path, await it.ticket("a/b", local)), "101 authorization");
});

Deno.test("U4: a ticket for another room is refused and not spent; a token opens any room", async () => {
  await using it = await listen();
  const ticket = await it.ticket("notes");
  assertEquals(await it.knock("/sync/diary", ticket), "403 Forbidden");
  assertEquals(await it.knock("/sync/notes/", ticket), "403 Forbidden", "that is another room");
  assertEquals(await it.knock(`/sync/as/${BOB}/notes`, ticket), "403 Forbidden");
  assertEquals(await it.knock("/sync/notes", ticket), "101 authorization");
  assertEquals(await it.knock("/sync/notes", ticket), "401 InvalidTicket");
  assertEquals(await it.knock("/sync/diary", await it.token()), "101 authorization");
  assertEquals(await it.knock(`/sync/as/${ALICE}/x`, await it.token()), "101 authorization");
  assertEquals(await it.knock(`/sync/as/${BOB}/x`, await it.token()), "403 Forbidden");
});

Deno.test("U4: who adds a slash to the address of the room is told so", async () => {
  await using it = await listen();
  const protocol = { "sec-websocket-protocol": await it.ticket("notes") };
  const { body } = await handshake(it.port, "/sync/notes/", protocol);
  assertEquals(
    JSON.parse(body).message,
    "The ticket is for the room without the slash at the end of the address.",
  );
});

Deno.test("U5: what is no upgrade, or no room, is a 400 and costs no ticket", async () => {
  await using it = await listen();
  const ticket = await it.ticket("notes");
  const missing: Record<string, string | null>[] = [
    { upgrade: null },
    { upgrade: "h2c" },
    { connection: "close" },
    { "sec-websocket-key": null },
    { "sec-websocket-version": "8" },
  ];
  for (const headers of missing) {
    assertEquals(await it.knock("/sync/notes", ticket, headers), "400 UpgradeRequired");
  }
  const badRooms = ["", "%00", "a%0Ab", "%ff", "%", "x".repeat(513), `as/${ALICE}`, `as/${ALICE}/`];
  for (const path of badRooms) {
    assertEquals(await it.knock(`/sync/${path}`, ticket), "400 InvalidRoom", path);
  }
  assertEquals(await it.knock("/sync/notes", ticket), "101 authorization");
});

Deno.test("U6: no ticket, and what is no ticket, is a 401", async () => {
  await using it = await listen();
  assertEquals(await it.knock("/sync/notes"), "401 AuthMissing");
  assertEquals(await it.knock("/sync/notes", "authorization"), "401 AuthMissing");
  assertEquals(await it.knock("/sync/notes", "authorization, nonsense"), "401 InvalidTicket");
  assertEquals(
    await it.knock("/sync/notes", `authorization, ${"x".repeat(43)}`),
    "401 InvalidTicket",
  );
  assertEquals(await it.knock("/sync/notes", "chat, authorization, x"), "400 InvalidRequest");
  const { ticket } = await (await it.callAs(GET_TICKET, { room: "notes", did: ALICE })).json();
  assertEquals(
    await it.knock(`/sync/notes?token=${ticket}`),
    "401 AuthMissing",
    "a ticket in a URL",
  );
});

Deno.test("U12: a damaged room lets nobody in, before the upgrade, and the others go on", async () => {
  await using it = await listen();
  await it.kv.set(["room", "notes", "log", 1], new Uint8Array([1, 2, 3]));
  assertEquals(await it.knock("/sync/notes", await it.ticket("notes")), "101 authorization");
  // Whoever came first has found it out.
  await until(async () =>
    await it.knock("/sync/notes", await it.ticket("notes")) === "503 RoomDamaged"
  );
  assertEquals(await it.knock("/sync/diary", await it.ticket("diary")), "101 authorization");
});

Deno.test("U7: an expired ticket is a 401", async () => {
  await using it = await listen();
  const ticket = await it.ticket("notes");
  it.clock.advance(30_000);
  assertEquals(await it.knock("/sync/notes", ticket), "401 InvalidTicket");
});

Deno.test("U8: the policy is asked again when the ticket is redeemed", async () => {
  let role: "writer" | null = "writer";
  await using it = await listen({ policy: { roleOf: () => Promise.resolve(role) } });
  const ticket = await it.ticket("notes");
  role = null;
  assertEquals(await it.knock("/sync/notes", ticket), "403 Forbidden");
  assertEquals((await it.callAs(GET_TICKET, { room: "notes", did: ALICE })).status, 403);
});

Deno.test("U9: a page of an origin that is not allowed opens no socket, and spends no ticket", async () => {
  await using it = await listen({ corsOrigins: ["https://app.example.com"] });
  const ticket = await it.ticket("notes");
  const evil = { origin: "https://evil.example.com" };
  assertEquals(await it.knock("/sync/notes", ticket, evil), "403 OriginNotAllowed");
  const app = { origin: "https://app.example.com" };
  assertEquals(await it.knock("/sync/notes", ticket, app), "101 authorization");
  assertEquals(
    await it.knock("/sync/notes", await it.ticket("notes")),
    "101 authorization",
    "no browser",
  );
});

Deno.test("U10: the development token opens /sync/as/<did>/<room> by itself, and nothing else", async () => {
  await using it = await listen();
  const dev = `authorization, ${DEV_TOKEN}`;
  assertEquals(await it.knock(`/sync/as/${ALICE}/notes`, dev), "101 authorization");
  assertEquals(await it.knock("/sync/notes", dev), "400 InvalidRequest");
  assertEquals(await it.knock(`/sync/as/${ALICE}/notes?token=${DEV_TOKEN}`), "401 AuthMissing");
  await using without = await listen({ devToken: null });
  assertEquals(await without.knock(`/sync/as/${ALICE}/notes`, dev), "401 InvalidTicket");
});

Deno.test("U11: open(), sharedToken() and verify() take a token in the sub-protocol and in the URL", async () => {
  await using everyone = await listen({ auth: open(), devToken: null });
  assertEquals(await everyone.knock("/sync/notes"), "101 -");
  assertEquals(await everyone.knock(`/sync/as/${ALICE}/notes`), "101 -");
  await using some = await listen({ auth: sharedToken("sesame"), devToken: null });
  assertEquals(await some.knock("/sync/notes?token=sesame"), "101 -");
  assertEquals(await some.knock("/sync/notes", "authorization, sesame"), "101 authorization");
  assertEquals(await some.knock("/sync/notes?token=barley"), "401 InvalidToken");
  assertEquals(await some.knock("/sync/notes"), "401 AuthMissing");
  await using known = await listen({
    auth: verify((token) => token === "alice's" ? { did: ALICE } : null),
    devToken: null,
  });
  assertEquals(await known.knock(`/sync/as/${ALICE}/notes?token=alice's`), "101 -");
  assertEquals(await known.knock(`/sync/as/${BOB}/notes?token=alice's`), "403 Forbidden");
  const { ticket } = await (await known.call(GET_TICKET, {
    method: "POST",
    headers: { authorization: "Bearer alice's" },
    body: JSON.stringify({ room: "notes" }),
  })).json();
  assert(ticket);
  assertEquals(await known.knock("/sync/diary", `authorization, ${ticket}`), "403 Forbidden");
});

Deno.test("W5: a text frame costs its sender the connection, with 4400", async () => {
  await using it = await listen({ auth: open() });
  const socket = new WebSocket(`ws://localhost:${it.port}/sync/notes`);
  let code = 0;
  socket.onclose = (event) => code = event.code;
  socket.onopen = () => socket.send("hello");
  await until(() => (it.clock.advance(50), code !== 0)); // it waits for quiet, by a clock that stands
  assertEquals(code, 4400);
});
