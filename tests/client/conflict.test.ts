import { assert, assertEquals } from "@std/assert";
import * as fc from "fast-check";
import { Awareness } from "y-protocols/awareness";
import * as Y from "yjs";
import { conflictsWith, moveToNewClient } from "../../src/client/conflict.ts";
import { TesseraProvider } from "../../src/client/mod.ts";
import { apply, edit, meet, write } from "../sync/edits.ts";
import { ALICE, BOB } from "../http/service.ts";
import { until } from "../until.ts";
import { startRealService, Window } from "./app.ts";
import { FakeWorld, settled, ticketFor } from "./fake_world.ts";

const whole = (doc: Y.Doc) => Y.encodeStateAsUpdate(doc);

/** A document with all that another has, and a client id. */
function copyOf(doc: Y.Doc, clientID: number): Y.Doc {
  const copy = new Y.Doc();
  Y.applyUpdate(copy, whole(doc));
  copy.clientID = clientID;
  return copy;
}

/** What can be seen of a document. */
function seen(doc: Y.Doc) {
  return [
    doc.getText("text").toDelta(),
    doc.getMap("map").toJSON(),
    doc.getXmlFragment("xml").toString(),
  ];
}

Deno.test("J24: what was written under an id that somebody else used too moves to a new one, and all agree", () => {
  const mark = (doc: Y.Doc, words = "mine") =>
    doc.getText("text").insert(doc.getText("text").length, words);
  // What lay in something that was deleted cannot be told from anything else.
  const simple = edit.filter(({ does }) => does !== "set");
  fc.assert(
    fc.property(
      fc.array(edit, { maxLength: 20 }),
      fc.array(simple, { minLength: 1, maxLength: 10 }),
      fc.array(simple, { minLength: 1, maxLength: 10 }),
      fc.array(edit, { maxLength: 10 }),
      fc.array(fc.nat(2 ** 32 - 1), { minLength: 4, maxLength: 4 }),
      (before, ours, theirs, others, ids) => {
        fc.pre(new Set(ids).size === ids.length);
        const docs = write(before) as [Y.Doc, Y.Doc, Y.Doc];
        docs.forEach((doc, n) => doc.clientID = 3 * ids[n]! + 1); // nobody is next to anybody
        for (const doc of [...docs, ...docs]) meet(docs[0], doc);
        const [victim, other] = docs;
        mark(victim);
        meet(victim, other);
        // Somebody else writes with the victim's id, and another one with their own; both are stored.
        const service = copyOf(victim, 3 * ids[3]! + 1);
        const thief = copyOf(victim, victim.clientID);
        thief.getMap("map").set("theirs", 1);
        mark(thief, "theirs");
        theirs.forEach((edit) => apply([thief, thief, thief], edit));
        others.forEach((edit) => apply([other, other, other], edit));
        Y.applyUpdate(service, whole(thief));
        Y.applyUpdate(service, whole(other));
        // Meanwhile the victim has written too.
        const old = victim.clientID;
        const acknowledged = Y.getState(victim.store, old);
        victim.getMap("map").set("ours", 1);
        mark(victim, "ours");
        ours.forEach((edit) => apply([victim, victim, victim], edit));
        const shown = seen(victim);

        const isOwn = (client: number, clock: number) => client === old && clock >= acknowledged;
        const conflicts = conflictsWith(victim, [whole(service)], isOwn);
        assertEquals(conflicts.map(({ client }) => client), [old]);
        assert(conflicts[0]!.clock >= acknowledged);
        for (const conflict of conflicts) moveToNewClient(victim, conflict, () => 0.5);
        assertEquals(seen(victim), shown, "nothing changes before the others' edits come");
        assert(victim.clientID !== old);
        assertEquals(conflictsWith(victim, [whole(service)], () => false), []);
        Y.applyUpdate(victim, whole(service));
        Y.applyUpdate(service, whole(victim));
        assertEquals(seen(victim), seen(service));
        const fresh = copyOf(service, 2 ** 40);
        assertEquals(seen(fresh), seen(service));
        assertEquals(Y.encodeStateVector(victim), Y.encodeStateVector(service));

        // And they go on agreeing.
        mark(victim);
        meet(victim, service);
        theirs.forEach((edit) => apply([victim, service, fresh], edit));
        for (const doc of [service, fresh, service, fresh]) meet(victim, doc);
        assertEquals([seen(victim), seen(fresh)], [seen(service), seen(service)]);
      },
    ),
    { numRuns: 300 },
  );
});

Deno.test("J24: closed with 4409, it looks what differs, sends its edit again under a new id, and says so", async () => {
  const world = new FakeWorld();
  const service = new Y.Doc();
  const doc = new Y.Doc();
  const getTicket = () => Promise.resolve(ticketFor("notes", 1));
  const awareness = new Awareness(doc);
  const options = { endpoint: "https://sync.example.com", getTicket, awareness };
  const provider = new TesseraProvider("notes", doc, options, world);
  const errors: string[] = [];
  provider.on("error", () => errors.push(provider.error!.name));
  const updates: Uint8Array[] = [];
  doc.on("update", (update) => updates.push(update));

  /** Answers as the service does, and closes who sends what differs from what it has. */
  world.onSocket = (socket) => {
    const frame = (kind: number, payload: Uint8Array) =>
      socket.hear(0, kind, ...lengthOf(payload), ...payload);
    socket.onSent = (bytes) => {
      const payload = bytes.subarray(bytes.findIndex((byte, n) => n >= 2 && byte < 128) + 1);
      if (bytes[0] === 102) return queueMicrotask(() => socket.hear(...bytes));
      if (bytes[0] !== 0) return;
      if (bytes[1] === 0) {
        if (world.sockets.length === 2) return; // it closes before it has answered
        return queueMicrotask(() => frame(1, Y.encodeStateAsUpdate(service, payload)));
      }
      const probe = new Y.Doc();
      Y.applyUpdate(probe, whole(service));
      const copy = new Y.Doc();
      Y.applyUpdate(copy, whole(doc));
      const isOther = conflictsWith(copy, [whole(service)], () => true)
        .some(({ client, clock }) =>
          Y.decodeUpdate(payload).structs.some(({ id, length }) =>
            id.client === client && id.clock <= clock && clock < id.clock + length
          )
        );
      if (isOther) return queueMicrotask(() => socket.end(4409));
      Y.applyUpdate(service, payload);
    };
    socket.open();
    frame(0, Y.encodeStateVector(service));
  };
  await world.pass(100);
  doc.getText("text").insert(0, "hello");
  await world.pass(100);
  assertEquals([provider.hasUnsavedChanges, service.getText("text").toString()], [false, "hello"]);

  world.sockets.at(-1)!.end();
  const old = doc.clientID;
  const thief = copyOf(service, old);
  thief.getText("text").insert(5, ", theirs is longer");
  thief.getMap("map").set("key", "theirs");
  Y.applyUpdate(service, whole(thief));
  doc.getText("text").insert(5, "; ours");
  doc.getMap("map").set("key", "ours");
  doc.getXmlFragment("xml").insert(0, [new Y.XmlElement("p")]);
  await world.pass(30_000);
  await provider.saved();
  assertEquals(seen(doc), seen(service));
  for (const words of ["hello", "; ours", ", theirs is longer"]) {
    assert(service.getText("text").toString().includes(words));
  }
  assertEquals(service.getXmlFragment("xml").toString(), "<p></p>");
  assertEquals([doc.clientID === old, awareness.clientID], [false, doc.clientID]);
  assertEquals(errors, ["Closed", "Closed", "Conflict"]);
  // Whatever stores the updates of the document has the edit under its new id.
  const clients = updates.flatMap((update) =>
    Y.decodeUpdate(update).structs.map(({ id }) => id.client)
  );
  assert(clients.includes(doc.clientID));
  await settled();
  assertEquals(world.sockets.length, 3);
  doc.destroy();
});

function lengthOf({ length }: Uint8Array): number[] {
  return length < 128 ? [length] : [length % 128 + 128, Math.floor(length / 128)];
}

Deno.test("J24: of two who write under one id at the same moment both are saved by a real service", async () => {
  for (const [one, two] of [["; one", ", two is longer"], ["; one is longer", ", two"]] as const) {
    await using it = await startRealService();
    using alice = await new Window(it.endpoint, "notes", ALICE).online();
    alice.text.insert(0, "hello");
    await alice.provider.saved();
    using bob = await new Window(it.endpoint, "notes", BOB).online();
    bob.provider.doc.clientID = alice.provider.doc.clientID;
    const codes: (number | undefined)[] = [];
    for (const { provider } of [alice, bob]) {
      provider.on("error", () => codes.push(provider.error!.code));
    }
    const release = it.holdCommits();
    alice.text.insert(5, one);
    alice.provider.doc.getMap("map").set("alice", 1);
    alice.provider.doc.getXmlFragment("xml").insert(0, [new Y.XmlElement("alice")]);
    bob.text.insert(5, two);
    bob.provider.doc.getMap("map").set("bob", 2);
    bob.provider.doc.getXmlFragment("xml").insert(0, [new Y.XmlElement("bob")]);
    release();
    await Promise.all([alice.provider.saved(), bob.provider.saved()]);
    const shows = ({ text, provider }: Window) =>
      `${text} ${provider.doc.getMap("map").size} ${provider.doc.getXmlFragment("xml")}`;
    await until(() => shows(alice) === shows(bob));
    using carol = await new Window(it.endpoint, "notes", "did:web:carol.example").online();
    assertEquals(seen(carol.provider.doc), seen(alice.provider.doc));
    assertEquals(
      codes,
      [4409, undefined],
      "one of them, once; and then it is told of the conflict",
    );
    const [text, map, xml] = seen(carol.provider.doc);
    const { insert } = (text as { insert: string }[])[0]!;
    for (const words of ["hello", one, two]) assert(insert.includes(words), insert);
    assertEquals([map, xml!.length], [{ alice: 1, bob: 2 }, "<alice></alice><bob></bob>".length]);
  }
});
