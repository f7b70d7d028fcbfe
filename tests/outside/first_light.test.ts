import { assert, assertEquals, assertObjectMatch } from "@std/assert";
import { systemClock } from "../../src/clock.ts";
import { type Authenticator, createSyncService, open, sharedToken, verify } from "../../src/mod.ts";
import { FakePlc } from "../did/fake_plc.ts";
import { documentOf, goodToken, makeAccount, plcDid } from "../auth/service_jwt_maker.ts";
import { ALICE, BOB, connectPeer, DEV_TOKEN, getTicket, StockClient } from "./clients.ts";
import { ServerProcess } from "./server_process.ts";

/** Settings for a server with a store of its own, which outlives the server and not the test. */
async function tempStore() {
  const folder = await Deno.makeTempDir();
  return {
    env: { KV_PATH: `${folder}/store.sqlite3`, UNSAFE_DEV_TOKEN: DEV_TOKEN },
    [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }),
  };
}

Deno.test("O1: two stock clients with tickets converge, and a third reads it all after a restart", async () => {
  await using store = await tempStore();
  const room = `at://${ALICE}/com.example.doc/3k`;
  const path = encodeURIComponent(room);
  let written: string;
  {
    await using server = await ServerProcess.start(store.env);
    const join = async (did: string) =>
      await new StockClient(`${server.socketUrl}/sync`, path, {
        ticket: await getTicket(server.url, did, room),
      }).synced();
    using alice = await join(ALICE);
    using bob = await join(BOB);
    for (let n = 0; n < 50; n++) {
      alice.text.insert(alice.text.length, "a");
      bob.text.insert(0, "b");
    }
    await Promise.all([alice, bob].map((client) => client.reads((text) => text.length === 100)));
    written = alice.text.toString();
    assertEquals(bob.text.toString(), written);
    assertEquals(await server.stop("SIGINT"), 0);
  }
  await using server = await ServerProcess.start(store.env);
  using carol = new StockClient(`${server.socketUrl}/sync/as/${BOB}`, path, {
    ticket: await getTicket(server.url, BOB, room),
  });
  await carol.reads(written);
});

Deno.test("O2: Roomy's way works: its token call, its address, and its development token", async () => {
  await using store = await tempStore();
  await using server = await ServerProcess.start(store.env);
  const response = await fetch(`${server.url}/xrpc/chat.roomy.v0.sync.token?did=${ALICE}`, {
    headers: { authorization: `Bearer ${DEV_TOKEN}` },
  });
  const { token } = await response.json();
  using alice = new StockClient(`${server.socketUrl}/sync/as/${ALICE}`, "notes", { ticket: token });
  using bob = new StockClient(`${server.socketUrl}/sync/as/${BOB}`, "notes", { ticket: DEV_TOKEN });
  await Promise.all([alice.synced(), bob.synced()]);
  alice.text.insert(0, "hello");
  await bob.reads("hello");
});

Deno.test("O3: what a client saw acknowledged is there after kill -9, twenty times in a row", async () => {
  await using store = await tempStore();
  let expected = "";
  for (let round = 0; round <= 20; round++) {
    await using server = await ServerProcess.start(store.env);
    const alice = await connectPeer(server, ALICE, "notes");
    await alice.hears("step2");
    assertEquals(alice.text.toString(), expected, `before round ${round}`);
    alice.text.insert(alice.text.length, `${round} `);
    alice.probe(round);
    await alice.hears(`ack ${round}`);
    await server.kill();
    expected += `${round} `;
  }
});

Deno.test("O4: SIGTERM commits and acknowledges, closes with 1001 and exits with 0", async () => {
  await using store = await tempStore();
  const letters = "abcdefghijklmnopqrstuvwxyz".repeat(10);
  let acknowledged: number;
  {
    await using server = await ServerProcess.start(store.env);
    const alice = await connectPeer(server, ALICE, "notes");
    await alice.hears("step2");
    for (const letter of letters) alice.text.insert(alice.text.length, letter);
    alice.probe(1);
    const [code, close] = await Promise.all([server.stop(), alice.isClosed()]);
    assertEquals(code, 0);
    // The reason too, for Deno's own way to stop closes with 1001 before anything is saved.
    assertEquals(close, { code: 1001, reason: "the service is restarting" });
    acknowledged = alice.heard.includes("ack 1") ? letters.length : 0;
  }
  await using server = await ServerProcess.start(store.env);
  const bob = await connectPeer(server, BOB, "notes");
  await bob.hears("step2");
  assert(letters.startsWith(bob.text.toString()));
  assert(bob.text.length >= acknowledged, "acknowledged edits are missing");
  bob.leave();
});

Deno.test("O5: no ticket, token or query ever reaches the log", async () => {
  await using store = await tempStore();
  await using server = await ServerProcess.start(store.env);
  const [used, wrong] = [
    await getTicket(server.url, ALICE, "notes"),
    await getTicket(server.url, ALICE, "notes"),
  ];
  using alice = new StockClient(`${server.socketUrl}/sync`, "notes", { ticket: used });
  await alice.synced();
  using refused = new StockClient(`${server.socketUrl}/sync`, "diary", { ticket: wrong });
  await new Promise((resolve) => refused.provider.once("connection-close", resolve));
  refused.provider.disconnect();
  await (await fetch(`${server.url}/sync/notes?token=${used}`)).body?.cancel();
  await (await fetch(`${server.url}/`, { headers: { authorization: "Bearer abc.def.ghi" } }))
    .text();
  await server.stop();
  const log = server.log.join("\n");
  assert(log.includes("/sync/notes"), "the log says nothing of the request");
  for (const secret of [used, wrong, DEV_TOKEN, "abc.def.ghi", "token="]) {
    assert(!log.includes(secret), `the log tells ${secret}`);
  }
});

Deno.test("O6: an account's service JWT becomes a ticket, and the ticket a socket; neither works twice", async () => {
  await using store = await tempStore();
  await using plc = new FakePlc();
  await using server = await ServerProcess.start({ KV_PATH: store.env.KV_PATH, PLC_URL: plc.url });
  for (const algorithm of ["ES256K", "ES256"] as const) {
    const account = await makeAccount(plcDid(algorithm.toLowerCase()), algorithm);
    plc.publish(documentOf(account));
    const jwt = await goodToken(account, systemClock, {
      aud: `did:web:localhost%3A${new URL(server.url).port}#roomy_syncserver`,
      lxm: "chat.roomy.v0.sync.getTicket",
    });
    const ask = async () => {
      const response = await fetch(`${server.url}/xrpc/chat.roomy.v0.sync.getTicket`, {
        method: "POST",
        headers: { authorization: `Bearer ${jwt}` },
        body: JSON.stringify({ room: "notes" }),
      });
      return { status: response.status, ...await response.json() };
    };
    const { did, ticket } = await ask();
    assertEquals(did, account.did);
    assertObjectMatch(await ask(), { status: 401, error: "JwtReplayed" });
    using client = new StockClient(`${server.socketUrl}/sync`, "notes", { ticket });
    await client.synced();
    client.text.insert(0, algorithm);
    await client.reads((text) => text.includes("ES256K"));
  }
});

Deno.test("O7: the service runs in someone else's program, for stock clients with ?token= or none", async () => {
  const ways: [auth: Authenticator, options: { token?: string }][] = [
    [open(), {}],
    [sharedToken("sesame"), { token: "sesame" }],
    [verify((token) => token === "alice's" ? { did: ALICE } : null), { token: "alice's" }],
  ];
  for (const [auth, options] of ways) {
    const service = createSyncService({ publicUrl: "http://localhost:8000", kv: ":memory:", auth });
    const server = Deno.serve({ port: 0, onListen: () => {} }, service.fetch);
    const base = `ws://localhost:${server.addr.port}/sync`;
    {
      using one = new StockClient(base, "notes", options);
      using two = new StockClient(base, "notes", options);
      await Promise.all([one.synced(), two.synced()]);
      one.text.insert(0, "hello");
      await two.reads("hello");
    }
    await service.shutdown();
    await server.shutdown();
  }
});

Deno.test("O8: a document of 10 MB and an update of 5 MB are taken, kept and joined", async () => {
  await using store = await tempStore();
  const MB = 1024 * 1024;
  {
    await using server = await ServerProcess.start(store.env);
    const alice = await connectPeer(server, ALICE, "large");
    for (const [n, letter] of ["a", "b"].entries()) {
      alice.text.insert(alice.text.length, letter.repeat(5 * MB));
      alice.probe(n);
      await alice.hears(`ack ${n}`);
    }
    assertEquals(await server.stop(), 0);
  }
  await using server = await ServerProcess.start(store.env);
  using bob = new StockClient(`${server.socketUrl}/sync`, "large", {
    ticket: await getTicket(server.url, BOB, "large"),
  });
  await bob.synced();
  assert(bob.text.toString() === "a".repeat(5 * MB) + "b".repeat(5 * MB));
});
