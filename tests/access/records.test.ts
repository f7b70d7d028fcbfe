import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Repos } from "../../src/repo/repos.ts";
import { KvDidCache } from "../../src/did/did_cache.ts";
import { didDirectory } from "../../src/did/did_directory.ts";
import { DidDocuments } from "../../src/did/did_documents.ts";
import { guardedFetch } from "../../src/web/guarded_fetch.ts";
import { assertRefused } from "../auth/assert_refused.ts";
import { FakePds } from "../repo/fake_pds.ts";
import { until } from "../until.ts";
import { FRIEND, OWNER, STRANGER } from "./policy_contract.ts";
import { documentWith, GRANT, recordWorld, TIMES } from "./record_world.ts";

const ROOM = `at://${OWNER}/app.notes/3k`;

Deno.test("L1: a room belongs to whom its name gives it, and one that belongs to nobody has nobody", async () => {
  await using it = await recordWorld();
  it.account(OWNER!);
  assertEquals(await it.policy.roleOf(OWNER!, ROOM), "owner");
  assertEquals(await it.policy.roleOf(OWNER!, `${OWNER}/notes`), "owner");
  for (const room of ["notes", "at://alice.example/app.notes/3k", "did:plc:"]) {
    assertEquals(await it.policy.roleOf(OWNER!, room), null, room);
  }
  assertEquals(it.pds.asked, [], "what a name says needs no asking");
});

Deno.test("L2: a grant gives the members of a list, or everyone, a role in one room; the best counts", async () => {
  await using it = await recordWorld();
  it.account(OWNER!);
  it.list(OWNER!, ROOM, "reader").add(FRIEND!);
  it.list(OWNER!, ROOM, "writer").add(FRIEND!);
  it.list(OWNER!, `${ROOM}2`, "writer").add(STRANGER!);
  assertEquals(await it.policy.roleOf(FRIEND!, ROOM), "writer");
  assertEquals(await it.policy.roleOf(STRANGER!, ROOM), null);
  it.pds.put(OWNER!, GRANT, { room: ROOM, role: "reader", everyone: true });
  it.clock.advance(TIMES.refresh);
  assertEquals(await it.policy.roleOf(STRANGER!, ROOM), "reader");
  assertEquals(await it.policy.roleOf(FRIEND!, ROOM), "writer");
});

Deno.test("L2: a list of thousands is read to its end", async () => {
  await using it = await recordWorld();
  it.account(OWNER!);
  const { add } = it.list(OWNER!, ROOM, "writer");
  add(FRIEND!);
  for (let n = 0; n < 2_345; n++) add(`did:plc:${n}`);
  assertEquals(await it.policy.roleOf(FRIEND!, ROOM), "writer");
});

Deno.test("L3: what is no grant, and lists that are gone, or another's, give nothing", async () => {
  await using it = await recordWorld();
  for (const did of [OWNER!, STRANGER!]) it.account(did);
  const theirs = it.list(STRANGER!, ROOM, "writer");
  theirs.add(STRANGER!);
  const gone = it.list(OWNER!, ROOM, "writer");
  gone.add(STRANGER!);
  it.pds.delete(OWNER!, gone.list);
  const good = it.list(OWNER!, ROOM, "writer");
  const bad: Record<string, unknown>[] = [
    { room: ROOM, role: "owner", everyone: true },
    { room: ROOM, role: "writer" },
    { room: ROOM, role: "writer", everyone: false },
    { room: ROOM, role: "writer", everyone: true, list: good.list },
    { room: [ROOM], role: "writer", everyone: true },
    { role: "writer", everyone: true },
    { room: ROOM, role: "writer", list: theirs.list },
    { room: ROOM, role: "writer", list: good.list.replace("list", "listitem") },
  ];
  for (const record of bad) it.pds.put(OWNER!, GRANT, record);
  it.pds.put(OWNER!, "com.example.other", { room: ROOM, role: "writer", everyone: true });
  it.pds.put(OWNER!, "app.bsky.graph.listitem", { subject: { did: STRANGER }, list: good.list });
  it.pds.put(OWNER!, "app.bsky.graph.listblock", { subject: STRANGER!, list: good.list });
  it.pds.put(STRANGER!, "app.bsky.graph.listitem", { subject: STRANGER!, list: good.list });
  good.add(FRIEND!);
  assertEquals(await it.policy.roleOf(STRANGER!, ROOM), null);
  assertEquals(await it.policy.roleOf(FRIEND!, ROOM), "writer");
});

Deno.test("L4: a PDS is asked for nothing that has not changed, once for a whole crowd", async () => {
  await using it = await recordWorld();
  it.account(OWNER!);
  it.list(OWNER!, ROOM, "reader").add(FRIEND!);
  const crowd = async () => {
    it.pds.asked.length = 0;
    const rooms = Array.from({ length: 50 }, (_, n) => `at://${OWNER}/app.notes/${n}`);
    await Promise.all([ROOM, ...rooms].map((room) => it.policy.roleOf(FRIEND!, room)));
    return it.pds.asked.map((method) => method.split(".").at(-1)).join();
  };
  const all = "getLatestCommit,listRecords,listRecords,listRecords";
  assertEquals(await crowd(), all, "grants, lists and their members");
  assertEquals(await crowd(), "", "it was read just now");
  it.clock.advance(TIMES.refresh);
  assertEquals(await crowd(), "getLatestCommit");
  it.pds.put(OWNER!, "app.bsky.feed.post", { text: "hello" });
  it.clock.advance(TIMES.refresh);
  assertEquals(await crowd(), all);
  await it.policy.roleOf(FRIEND!, `at://${STRANGER}/app.notes/3k`);
  assertEquals(it.pds.asked.length, 4, "there is no such account");
});

Deno.test("L4: somebody who posts all day and has a large list is read less often", async () => {
  await using it = await recordWorld();
  it.account(OWNER!);
  const { add } = it.list(OWNER!, ROOM, "writer");
  for (let n = 0; n < 2_000; n++) add(`did:plc:${n}`);
  await it.policy.roleOf(FRIEND!, ROOM);
  it.pds.asked.length = 0;
  let ms = 0;
  for (; !it.pds.asked.includes("com.atproto.repo.listRecords"); ms += 1_000) {
    it.pds.put(OWNER!, "app.bsky.feed.post", { text: "hello" });
    it.clock.advance(1_000);
    await it.policy.roleOf(FRIEND!, ROOM);
  }
  assertEquals(ms, 6_000, "the first look after 23 requests, 200 ms each");
});

Deno.test("L5: while a PDS cannot be reached its last answer stands in, for ten minutes; then nobody gets in but the owner", async () => {
  await using it = await recordWorld();
  it.account(OWNER!);
  it.list(OWNER!, ROOM, "writer").add(FRIEND!);
  assertEquals(await it.policy.roleOf(FRIEND!, ROOM), "writer");
  it.pds.instead = () => new Response(null, { status: 503 });
  it.clock.advance(TIMES.max - 1);
  assertEquals(await it.policy.roleOf(FRIEND!, ROOM), "writer");
  it.clock.advance(1);
  const refusal = await assertRefused(it.policy.roleOf(FRIEND!, ROOM), "UpstreamFailure");
  assertStringIncludes(refusal.message, "localhost");
  assertEquals(await it.policy.roleOf(OWNER!, ROOM), "owner");
  it.pds.instead = () => undefined;
  await assertRefused(it.policy.roleOf(FRIEND!, ROOM), "UpstreamFailure");
  it.clock.advance(5_000);
  assertEquals(
    await it.policy.roleOf(FRIEND!, ROOM),
    "writer",
    "five seconds later it is asked again",
  );
});

Deno.test("L5: a PDS that answers nonsense, or has no such repository, is believed nothing, and nothing stands in", async () => {
  await using it = await recordWorld();
  it.account(OWNER!);
  const nonsense: [what: string, answer: (url: URL) => Response | undefined][] = [
    ["no repository", () => Response.json({ error: "RepoDeactivated" }, { status: 400 })],
    ["nothing there", () => new Response(null, { status: 404 })],
    ["no JSON", () => new Response("<html>")],
    ["no revision", () => Response.json({ cid: "bafyrei" })],
    ["no records", ({ pathname }) => /list/.test(pathname) ? Response.json({}) : undefined],
    ["too much", () => new Response(new Uint8Array(1024 * 1024 + 1).fill(32))],
    ["a redirect", () => Response.redirect("https://example.com/")],
  ];
  for (const [what, answer] of nonsense) {
    it.pds.instead = () => undefined;
    const { list, grant, add } = it.list(OWNER!, ROOM, "writer");
    add(FRIEND!);
    it.clock.advance(10_000);
    assertEquals(await it.policy.roleOf(FRIEND!, ROOM), "writer", what);
    for (const uri of [list, grant]) it.pds.delete(OWNER!, uri);
    it.pds.instead = answer;
    it.clock.advance(30_000);
    const outcome = it.policy.roleOf(FRIEND!, ROOM);
    if (what === "a redirect") assertEquals(await outcome, "writer", "it leads nowhere");
    else await assertRefused(outcome, "UpstreamFailure");
  }
});

Deno.test("L6: an account that has moved is found at its new PDS", async () => {
  await using it = await recordWorld();
  await using elsewhere = new FakePds();
  it.account(OWNER!);
  it.list(OWNER!, ROOM, "reader").add(FRIEND!);
  assertEquals(await it.policy.roleOf(FRIEND!, ROOM), "reader");
  it.pds.drop(OWNER!);
  it.plc.publish(documentWith(OWNER!, elsewhere.url));
  elsewhere.put(OWNER!, GRANT, { room: ROOM, role: "writer", everyone: true });
  it.clock.advance(TIMES.refresh);
  assertEquals(await it.policy.roleOf(FRIEND!, ROOM), "writer");
});

Deno.test("L7: only a public https host is a PDS, and localhost in development", async () => {
  await using it = await recordWorld();
  const { port } = new URL(it.pds.url);
  const bad = [
    `http://127.0.0.1:${port}`,
    `https://127.0.0.1:${port}`,
    "https://169.254.169.254",
    "https://localhost",
    "https://pds.example.com:8443",
    "http://pds.example.com",
    it.pds.url,
  ];
  const strict = it.another(false);
  for (const [n, url] of bad.entries()) {
    const owner = `did:plc:${String.fromCharCode(97 + n).repeat(24)}`;
    it.plc.publish(documentWith(owner, url));
    await assertRefused(strict.roleOf(FRIEND!, `${owner}/notes`), "UpstreamFailure");
  }
  assertEquals(it.pds.asked, []);

  const cache = new KvDidCache(it.kv, it.clock, { fresh: 1, stale: 1, max: 1, negative: 1 });
  const directory = didDirectory({ plcUrl: it.plc.url, allowLocalDids: false });
  const repos = new Repos({
    documents: new DidDocuments(cache, directory, it.clock),
    clock: it.clock,
    allowLocalDids: false,
    fetch: guardedFetch({ size: 1_000, time: 3_000 }, {
      resolve: () => Promise.resolve([{ address: "127.0.0.1", family: 4 }]),
      isAllowed: (address) => address !== "127.0.0.1",
      port: Number(port),
      ca: undefined,
    }),
  });
  it.plc.publish(documentWith(OWNER!, "https://pds.example.com"));
  const repo = await repos.find(OWNER!);
  const refusal = await assertRefused(repo!.revision(), "UpstreamFailure");
  assertStringIncludes(refusal.message, "not on the public Internet");
  assertEquals(await repos.find("did:key:z6Mk"), null);
  assertEquals(await repos.find("did:web:localhost%3A8080"), null);
  assertEquals(await repos.find("did:plc:../../x"), null);
});

Deno.test("L8: strangers cannot make us ask one PDS without end", async () => {
  await using it = await recordWorld();
  const owners = Array.from({ length: 300 }, (_, n) => {
    const letters = [n % 26, Math.floor(n / 26)].map((m) => String.fromCharCode(97 + m)).join("");
    return it.account(`did:plc:${letters.repeat(12)}`);
  });
  const asked = await Promise.allSettled(
    owners.map((owner) => it.policy.roleOf(FRIEND!, `${owner}/notes`)),
  );
  assert(it.pds.asked.length <= 300, `${it.pds.asked.length} requests`);
  const refused = asked.find(({ status }) => status === "rejected") as PromiseRejectedResult;
  assertStringIncludes(String(refused.reason.message), "asked too often");
});

Deno.test("L9: of a hundred owners on one PDS whose rooms are in use, each has its turn, five a second", async () => {
  await using it = await recordWorld();
  const told = new Set<string>();
  const owners = Array.from({ length: 100 }, (_, n) => {
    const letters = [n % 26, Math.floor(n / 26)].map((m) => String.fromCharCode(97 + m)).join("");
    return it.account(`did:plc:${letters.repeat(12)}`);
  });
  const stops = owners.map((owner) => it.policy.watch(`${owner}/notes`, () => told.add(owner)));
  const looks = () => it.pds.asked.filter((method) => method.endsWith("getLatestCommit")).length;
  const pass = async (ms: number) => {
    for (let passed = 0; passed < ms; passed += 100) {
      it.clock.advance(100);
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
  };
  await pass(30_000);
  await until(() => told.size === 100);
  const before = looks();
  await pass(10_000);
  assert(looks() - before <= 55, `${looks() - before} looks in 10 s`);
  for (const owner of owners) {
    it.pds.put(owner, GRANT, { room: "x", role: "reader", everyone: true });
  }
  told.clear();
  await pass(30_000);
  await until(() => told.size === 100);
  for (const stop of stops) stop();
  await pass(30_000);
  const then = looks();
  await pass(10_000);
  assertEquals(looks(), then, "nobody is there any more");
});
