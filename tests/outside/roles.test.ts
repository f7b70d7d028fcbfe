import { assertEquals, assertRejects } from "@std/assert";
import * as Y from "yjs";
import { LIST, LIST_ITEM } from "../../src/access/grants.ts";
import { documentWith } from "../access/record_world.ts";
import { FakePlc } from "../did/fake_plc.ts";
import { FakePds } from "../repo/fake_pds.ts";
import { syncFrame } from "../sync/test_peer.ts";
import { until } from "../until.ts";
import { connectPeer, DEV_TOKEN, getTicket, StockClient, Warnings } from "./clients.ts";
import { ServerProcess } from "./server_process.ts";

const OWNER = "did:plc:ownerooooooooooooooooooo";
const SUBJECT = "did:plc:subjectsssssssssssssssss";
const METHODS = "chat.roomy.v0.sync";

type Effective = "owner" | "writer" | "reader" | null;

/** A room, what was done for somebody in it, and what that makes of them. */
interface Case {
  policy: "open" | "members" | "records";
  visibility: "private" | "public-read" | "public-write";
  given: "owner" | "writer" | "reader" | "nothing" | "ban";
  is: Effective;
}

const CASES: Case[] = [
  { policy: "open", visibility: "private", given: "nothing", is: "writer" },

  { policy: "members", visibility: "private", given: "owner", is: "owner" },
  { policy: "members", visibility: "private", given: "writer", is: "writer" },
  { policy: "members", visibility: "private", given: "reader", is: "reader" },
  { policy: "members", visibility: "private", given: "nothing", is: null },
  { policy: "members", visibility: "private", given: "ban", is: null },
  { policy: "members", visibility: "public-read", given: "owner", is: "owner" },
  { policy: "members", visibility: "public-read", given: "writer", is: "writer" },
  { policy: "members", visibility: "public-read", given: "reader", is: "reader" },
  { policy: "members", visibility: "public-read", given: "nothing", is: "reader" },
  { policy: "members", visibility: "public-read", given: "ban", is: null },
  { policy: "members", visibility: "public-write", given: "owner", is: "owner" },
  { policy: "members", visibility: "public-write", given: "writer", is: "writer" },
  { policy: "members", visibility: "public-write", given: "reader", is: "writer" },
  { policy: "members", visibility: "public-write", given: "nothing", is: "writer" },
  { policy: "members", visibility: "public-write", given: "ban", is: null },

  { policy: "records", visibility: "private", given: "owner", is: "owner" },
  { policy: "records", visibility: "private", given: "writer", is: "writer" },
  { policy: "records", visibility: "private", given: "reader", is: "reader" },
  { policy: "records", visibility: "private", given: "nothing", is: null },
  { policy: "records", visibility: "public-read", given: "writer", is: "writer" },
  { policy: "records", visibility: "public-read", given: "reader", is: "reader" },
  { policy: "records", visibility: "public-read", given: "nothing", is: "reader" },
  { policy: "records", visibility: "public-write", given: "reader", is: "writer" },
  { policy: "records", visibility: "public-write", given: "nothing", is: "writer" },
];

/** What comes of each kind of frame. */
const MAY_WRITE = {
  step1: true,
  step2: true,
  update: true,
  awareness: true,
  queryAwareness: true,
  syncStatus: true,
  toldNo: false,
};
const OUTCOMES = {
  owner: MAY_WRITE,
  writer: MAY_WRITE,
  reader: { ...MAY_WRITE, step2: false, update: false, syncStatus: false, toldNo: true },
};

const roomOf = ({ visibility, given }: Case) => `at://${OWNER}/app.notes/${visibility}.${given}`;

/** A server under a policy, whose rooms are set up through what their owner would use. */
async function serve(policy: Case["policy"]) {
  const folder = await Deno.makeTempDir();
  const plc = new FakePlc();
  const pds = new FakePds();
  plc.publish(documentWith(OWNER, pds.url));
  const env = {
    KV_PATH: `${folder}/store.sqlite3`,
    ACCESS_POLICY: policy,
    PLC_URL: plc.url,
    LIST_REFRESH: "500ms",
    UNSAFE_DEV_TOKEN: DEV_TOKEN,
    UNSAFE_ALLOW_LOCAL_DIDS: "true",
  };
  const start = () => ServerProcess.start(env);
  return {
    pds,
    start,
    async setUp(server: ServerProcess, test: Case): Promise<void> {
      if (policy === "members") await setUpMembers(server, test);
      if (policy === "records") setUpRecords(pds, test);
    },
    async [Symbol.asyncDispose]() {
      await pds[Symbol.asyncDispose]();
      await plc[Symbol.asyncDispose]();
      await Deno.remove(folder, { recursive: true });
    },
  };
}

async function setUpMembers({ url }: ServerProcess, test: Case): Promise<void> {
  const room = roomOf(test);
  await call(url, "setVisibility", { room, visibility: test.visibility });
  if (test.given === "ban") {
    await call(url, "putMember", { room, member: SUBJECT, role: "writer" });
    await call(url, "ban", { room, member: SUBJECT });
  } else if (test.given === "writer" || test.given === "reader") {
    await call(url, "putMember", { room, member: SUBJECT, role: test.given });
  }
}

async function call(url: string, method: string, input: object): Promise<void> {
  const response = await fetch(`${url}/xrpc/${METHODS}.${method}`, {
    method: "POST",
    headers: { authorization: `Bearer ${DEV_TOKEN}` },
    body: JSON.stringify({ did: OWNER, ...input }),
  });
  assertEquals([response.status, await response.json()], [200, {}]);
}

function setUpRecords(pds: FakePds, test: Case): void {
  const room = roomOf(test);
  const grant = (role: string, to: object) =>
    pds.put(OWNER, `${METHODS}.grant`, { room, role, ...to });
  if (test.visibility === "public-read") grant("reader", { everyone: true });
  if (test.visibility === "public-write") grant("writer", { everyone: true });
  if (test.given !== "writer" && test.given !== "reader") return;
  const list = pds.put(OWNER, LIST, { name: "friends" });
  grant(test.given, { list });
  pds.put(OWNER, LIST_ITEM, { subject: SUBJECT, list });
}

/** An update of a document of its own that puts a mark into a map. */
function marked(mark: string): Uint8Array {
  const doc = new Y.Doc();
  doc.getMap("marks").set(mark, true);
  return Y.encodeStateAsUpdate(doc);
}

const marksOf = ({ doc }: StockClient) => [...doc.getMap("marks").keys()].sort();

/** What comes of each kind of frame that a stock client sends. */
async function tryAll(server: ServerProcess, test: Case): Promise<typeof MAY_WRITE> {
  const room = roomOf(test);
  const join = async (did: string) =>
    new StockClient(`${server.socketUrl}/sync`, encodeURIComponent(room), {
      ticket: await getTicket(server.url, did, room),
    });
  using warnings = new Warnings();
  using owner = await join(OWNER);
  await owner.synced();
  owner.text.insert(0, "seed");
  owner.provider.awareness.setLocalStateField("name", "owner");
  using subject = await join(test.given === "owner" ? OWNER : SUBJECT);
  await subject.synced();
  await subject.reads("seed");

  const heard: number[] = [];
  const send = (frame: Uint8Array) => subject.provider.ws!.send(frame as Uint8Array<ArrayBuffer>);
  subject.provider.messageHandlers[102] = () => void heard.push(102);
  send(syncFrame(1, marked("step2")));
  send(syncFrame(2, marked("update")));
  subject.doc.getMap("marks").set("a stock edit", true);
  send(new Uint8Array([102, 7]));
  // It forgets the owner: if it sees her again, it was told of her.
  const { awareness } = subject.provider;
  for (const known of [awareness.states, awareness.meta]) known.delete(owner.doc.clientID);
  send(new Uint8Array([3]));
  subject.provider.awareness.setLocalState({ name: "subject", did: OWNER });
  // All that it sent before has been taken, or refused; and committed, once what follows is.
  const shown = () =>
    [...owner.provider.awareness.getStates().values()]
      .find(({ name }) => name === "subject");
  await until(() => shown() !== undefined);
  owner.text.insert(0, "a ");
  await subject.reads("a seed");

  const marks = marksOf(owner);
  assertEquals(marks.includes("a stock edit"), marks.includes("update"));
  assertEquals(shown()!.did, test.given === "owner" ? OWNER : SUBJECT, "presence was forged");
  return {
    step1: subject.text.toString() === "a seed",
    step2: marks.includes("step2"),
    update: marks.includes("update"),
    awareness: true, // or nobody would be here
    queryAwareness: awareness.states.get(owner.doc.clientID)?.name === "owner",
    syncStatus: heard.includes(102),
    toldNo: warnings.heard.some((text) => text.endsWith("You may only read this room.")),
  };
}

for (const policy of ["open", "members", "records"] as const) {
  const cases = CASES.filter((test) => test.policy === policy);

  Deno.test(`O14: each kind of frame of a stock client, by role and visibility (${policy})`, async () => {
    await using it = await serve(policy);
    const written = new Map<string, string[]>();
    {
      await using server = await it.start();
      for (const test of cases) await it.setUp(server, test);
      for (const test of cases) {
        const what = `${test.given} in a ${test.visibility} room`;
        if (test.is === null) {
          assertEquals(await getTicket(server.url, SUBJECT, roomOf(test)), undefined, what);
          const anyRoom = await ticketForAnyRoom(server.url);
          await assertRejects(() => opened(server, roomOf(test), anyRoom), Error, "refused");
          written.set(roomOf(test), []);
          continue;
        }
        assertEquals(await tryAll(server, test), OUTCOMES[test.is], what);
        const marks = OUTCOMES[test.is].update ? ["a stock edit", "step2", "update"] : [];
        written.set(roomOf(test), marks);
      }
      assertEquals(await server.stop(), 0);
    }
    await using server = await it.start();
    for (const [room, marks] of written) {
      const owner = await connectPeer(server, OWNER, room);
      await owner.hears("step2");
      assertEquals([...owner.doc.getMap("marks").keys()].sort(), marks, `stored in ${room}`);
      owner.leave();
    }
  });
}

async function ticketForAnyRoom(url: string): Promise<string> {
  const response = await fetch(`${url}/xrpc/${METHODS}.token?did=${SUBJECT}`, {
    headers: { authorization: `Bearer ${DEV_TOKEN}` },
  });
  return (await response.json()).token;
}

/** Fails unless a socket opens. */
async function opened({ socketUrl }: ServerProcess, room: string, ticket: string): Promise<void> {
  const url = `${socketUrl}/sync/${encodeURIComponent(room)}`;
  const socket = new WebSocket(url, ["authorization", ticket]);
  await new Promise<void>((resolve, reject) => {
    socket.onopen = () => resolve();
    socket.onerror = () => reject(new Error("refused"));
  });
}

Deno.test("O15: somebody who is put on a list, moved to another and taken off holds these roles on an open socket", async () => {
  await using it = await serve("records");
  const room = `at://${OWNER}/app.notes/lists`;
  const listOf = (role: string) => {
    const list = it.pds.put(OWNER, LIST, { name: `${role}s` });
    it.pds.put(OWNER, `${METHODS}.grant`, { room, role, list });
    return list;
  };
  const [writers, readers] = [listOf("writer"), listOf("reader")];
  const put = (list: string) => it.pds.put(OWNER, LIST_ITEM, { subject: SUBJECT, list });
  const reading = put(readers);
  await using server = await it.start();
  const owner = await connectPeer(server, OWNER, room);
  const subject = await connectPeer(server, SUBJECT, room);
  await subject.hears("step2");
  const writing = put(writers);
  await subject.hears("role writer");
  subject.text.insert(0, "hello");
  subject.probe(1);
  await subject.hears("ack 1");
  it.pds.delete(OWNER, writing);
  await subject.hears("role reader");
  subject.text.insert(5, " again");
  await subject.hears("denied");
  it.pds.delete(OWNER, reading);
  assertEquals((await subject.isClosed()).code, 4403);
  owner.probe(1);
  await owner.hears("ack 1");
  assertEquals(owner.text.toString(), "hello");
  owner.leave();
  assertEquals(await server.stop(), 0);
});
