import { assert, assertEquals } from "@std/assert";
import { connectPeer, DEV_TOKEN, getTicket } from "./clients.ts";
import { runTask, ServerProcess } from "./server_process.ts";

const [ALICE, BOB, CAROL, EVE, FRANK] = [
  "did:plc:aliceaaaaaaaaaaaaaaaaaaa",
  "did:plc:bobbbbbbbbbbbbbbbbbbbbbb",
  "did:plc:carolcccccccccccccccccc",
  "did:plc:eveeeeeeeeeeeeeeeeeeeeee",
  "did:plc:frankfffffffffffffffffff",
] as const;
const ROOM = "notes";

async function call(url: string, method: string, did: string, input: object = {}) {
  const response = await fetch(`${url}/xrpc/chat.roomy.v0.sync.${method}`, {
    method: "POST",
    headers: { authorization: `Bearer ${DEV_TOKEN}` },
    body: JSON.stringify({ did, room: ROOM, ...input }),
  });
  return { status: response.status, ...await response.json() };
}

Deno.test("B7: after an export and an import into an empty store, each has the access that they had", async () => {
  const folder = await Deno.makeTempDir();
  const env = (store: string) => ({
    KV_PATH: `${folder}/${store}.sqlite3`,
    ACCESS_POLICY: "members",
    UNSAFE_DEV_TOKEN: DEV_TOKEN,
  });
  let secret = "";
  {
    await using server = await ServerProcess.start(env("old"));
    const alice = await connectPeer(server, ALICE, ROOM);
    alice.text.insert(0, "hello");
    alice.probe(1);
    await alice.hears("ack 1");
    alice.leave();
    const { url } = server;
    await call(url, "putMember", ALICE, { member: BOB, role: "reader" });
    ({ secret } = await call(url, "createInvite", ALICE, { role: "writer", uses: 5 }));
    assertEquals((await call(url, "redeemInvite", CAROL, { secret })).role, "writer");
    await call(url, "removeMember", ALICE, { member: CAROL });
    await call(url, "ban", ALICE, { member: EVE });
    const { code, printed } = await runTask("export", ["--all", `${folder}/backup`], env("old"));
    assertEquals(code, 0, printed);
    assertEquals(await server.stop(), 0);
  }
  const imported = await runTask("import", [`${folder}/backup`], env("new"));
  assertEquals(imported.code, 0, imported.printed);
  assert(imported.printed.includes("with its access"), imported.printed);

  await using server = await ServerProcess.start(env("new"));
  const { url } = server;
  const ticket = async (did: string) => {
    const { role, error } = await call(url, "getTicket", did);
    return role ?? error;
  };
  const roles = async () => {
    const roles: string[] = [];
    for (const did of [EVE, FRANK, CAROL, BOB, ALICE]) roles.push(await ticket(did));
    return roles;
  };
  assertEquals(await roles(), ["Forbidden", "Forbidden", "Forbidden", "reader", "owner"]);
  assertEquals((await call(url, "redeemInvite", CAROL, { secret })).error, "InvalidInvite");
  assertEquals((await call(url, "redeemInvite", EVE, { secret })).error, "Forbidden");
  assertEquals((await call(url, "redeemInvite", FRANK, { secret })).role, "writer");
  const alice = await connectPeer(server, ALICE, ROOM);
  await alice.hears("step2");
  assertEquals(alice.text.toString(), "hello");
  alice.leave();
  assertEquals(await server.stop(), 0);
  await Deno.remove(folder, { recursive: true });
});

Deno.test("B8: the operator gives an owner to a room that an old export brings without one", async () => {
  const folder = await Deno.makeTempDir();
  const settings = {
    KV_PATH: `${folder}/store.sqlite3`,
    ACCESS_POLICY: "open",
    UNSAFE_DEV_TOKEN: DEV_TOKEN,
  };
  {
    await using server = await ServerProcess.start(settings);
    const alice = await connectPeer(server, ALICE, ROOM);
    alice.text.insert(0, "hello");
    alice.probe(1);
    await alice.hears("ack 1");
    alice.leave();
    assertEquals(await server.stop(), 0);
  }
  const env = { ...settings, KV_PATH: `${folder}/new.sqlite3`, ACCESS_POLICY: "members" };
  await runTask("export", ["--all", `${folder}/backup`], settings);
  const imported = await runTask("import", [`${folder}/backup`], env);
  assert(imported.printed.includes("belongs to nobody"), imported.printed);

  await using server = await ServerProcess.start(env);
  assertEquals(await getTicket(server.url, EVE, ROOM), undefined);
  assertEquals((await runTask("own", ["nosuch", ALICE], env)).code, 1);
  assertEquals((await runTask("own", [ROOM], env)).code, 2);
  assertEquals((await runTask("own", [ROOM, ALICE], env)).code, 0);
  assertEquals((await runTask("own", [ROOM, EVE], env)).code, 1);
  assertEquals((await call(server.url, "getTicket", EVE)).error, "Forbidden");
  assertEquals((await call(server.url, "getTicket", ALICE)).role, "owner");
  assertEquals(await server.stop(), 0);
  await Deno.remove(folder, { recursive: true });
});
