import { assertEquals } from "@std/assert";
import { LIST, LIST_ITEM } from "../../src/access/grants.ts";
import { ServerProcess } from "../outside/server_process.ts";
import { TestPeer } from "../sync/test_peer.ts";
import { testReal as testWith } from "./real_test.ts";
import { findPds, type PdsAccount, PdsServer } from "../../src/demo/pds_server.ts";

const packages = await findPds();

/** A test with a real PDS. */
function testReal(rule: string, body: (pds: PdsServer) => Promise<void>): void {
  testWith(rule, packages, async (packages) => {
    await using pds = await PdsServer.start(packages);
    await body(pds);
  });
}

const METHODS = "chat.roomy.v0.sync";

/** Swaps a service JWT of the account's PDS for a ticket: what came of it, and the ticket. */
async function ticketFor({ url }: ServerProcess, account: PdsAccount, room: string) {
  const aud = `did:web:localhost%3A${new URL(url).port}`;
  const method = `${METHODS}.getTicket`;
  const response = await fetch(`${url}/xrpc/${method}`, {
    method: "POST",
    headers: { authorization: `Bearer ${await account.serviceJwt(aud, method)}` },
    body: JSON.stringify({ room }),
  });
  const { ticket, role, error } = await response.json();
  return { ticket, is: role ?? error };
}

async function connect(server: ServerProcess, account: PdsAccount, room: string) {
  const { ticket } = await ticketFor(server, account, room);
  const url = `${server.socketUrl}/sync/${encodeURIComponent(room)}`;
  const socket = new WebSocket(url, ["authorization", ticket]);
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = reject;
  });
  return new TestPeer(account.did).joinOver(socket);
}

testReal(
  "O16: accounts of a real PDS share a room by a list in the owner's repository, and lose it by that",
  async (pds) => {
    const [alice, bob, carol] = [
      await pds.createAccount("alice"),
      await pds.createAccount("bob"),
      await pds.createAccount("carol"),
    ];
    await using server = await ServerProcess.start({
      KV_PATH: ":memory:",
      ACCESS_POLICY: "records",
      PLC_URL: pds.plcUrl,
      UNSAFE_ALLOW_LOCAL_DIDS: "true",
    });
    const room = `at://${alice.did}/app.notes/3k`;
    const is = async (account: PdsAccount) => (await ticketFor(server, account, room)).is;
    assertEquals([await is(alice), await is(bob)], ["owner", "Forbidden"]);

    const createdAt = new Date().toISOString();
    const create = async (collection: string, record: object) => {
      const input = { repo: alice.did, collection, record: { ...record, createdAt } };
      const { uri } = await alice.call<{ uri: string }>("com.atproto.repo.createRecord", input);
      return uri;
    };
    const list = await create(LIST, {
      name: "book club",
      purpose: "app.bsky.graph.defs#curatelist",
    });
    const item = await create(LIST_ITEM, { subject: bob.did, list });
    await create(`${METHODS}.grant`, { room, role: "writer", list });
    await create(`${METHODS}.grant`, { room, role: "reader", everyone: true });
    while (await is(bob) !== "writer");
    assertEquals(await is(carol), "reader");

    const peers = [await connect(server, alice, room), await connect(server, bob, room)];
    peers[1]!.text.insert(0, "hello");
    peers[1]!.probe(1);
    await peers[1]!.hears("ack 1");
    const rkey = item.split("/").at(-1);
    await alice.call("com.atproto.repo.deleteRecord", {
      repo: alice.did,
      collection: LIST_ITEM,
      rkey,
    });
    await peers[1]!.hears("role reader");
    peers[1]!.text.insert(5, " again");
    await peers[1]!.hears("denied");
    peers[0]!.probe(1);
    await peers[0]!.hears("ack 1");
    assertEquals(peers[0]!.text.toString(), "hello");
    for (const peer of peers) peer.leave();
    assertEquals(await server.stop(), 0);
  },
);

testReal(
  "O17: an account of a real PDS gets a ticket through its PDS, and shares a room by our methods",
  async (pds) => {
    const [alice, bob] = [await pds.createAccount("alice"), await pds.createAccount("bob")];
    await using server = await ServerProcess.start({
      KV_PATH: ":memory:",
      ACCESS_POLICY: "members",
      PLC_URL: pds.plcUrl,
      UNSAFE_ALLOW_LOCAL_DIDS: "true",
    });
    const service = `did:web:localhost%3A${new URL(server.url).port}#roomy_syncserver`;
    const room = "notes";
    const proxied = (account: PdsAccount, method: string, input: object) =>
      account.call<{ role?: string; secret: string }>(`${METHODS}.${method}`, input, {
        "atproto-proxy": service,
      });
    assertEquals((await proxied(alice, "getTicket", { room })).role, "owner");
    assertEquals((await ticketFor(server, bob, room)).is, "Forbidden");
    const { secret } = await proxied(alice, "createInvite", { room, role: "reader" });
    assertEquals((await proxied(bob, "redeemInvite", { room, secret })).role, "reader");
    assertEquals((await ticketFor(server, bob, room)).is, "reader");
    await proxied(alice, "ban", { room, member: bob.did });
    assertEquals((await ticketFor(server, bob, room)).is, "Forbidden");
    assertEquals(await server.stop(), 0);
  },
);
