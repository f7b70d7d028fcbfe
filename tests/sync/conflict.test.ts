import { assert, assertEquals } from "@std/assert";
import * as fc from "fast-check";
import * as Y from "yjs";
import { Document } from "../../src/sync/document.ts";
import { outline } from "../../src/sync/outline.ts";
import { FakeClock } from "../fake_clock.ts";
import { Chance } from "../sim/chance.ts";
import { MemoryStore } from "./memory_store.ts";
import { syncFrame, TestPeer } from "./test_peer.ts";
import { gate, roomsOn, settle, storedText, world } from "./world.ts";

const AUTHORS = 3;

/** Whether an update conflicts with a document, and goes into it if not. */
function take(document: Document, update: Uint8Array): boolean {
  const isInConflict = document.isInConflict(outline(update));
  if (!isInConflict) {
    document.apply([update]);
    document.dropPending();
  }
  return isInConflict;
}

/** Some edit of a kind that editors make. */
function editOf(doc: Y.Doc, chance: Chance): void {
  const [text, list, map, xml] = [
    doc.getText("text"),
    doc.getArray<unknown>("list"),
    doc.getMap<unknown>("map"),
    doc.getXmlFragment("xml"),
  ];
  const place = (length: number) => chance.below(length + 1);
  switch (chance.below(13)) {
    case 0:
    case 1:
      return text.insert(
        place(text.length),
        chance.pick(["a", "word ", "😀", "é𝒳", "\ud83d", "\ufffd"]),
      );
    case 2:
    case 3:
      return text.length > 1
        ? text.delete(chance.below(text.length - 1), 1 + chance.below(2))
        : undefined;
    case 4:
      return text.length > 2 ? text.format(0, 2, { bold: chance.pick([true, null]) }) : undefined;
    case 5:
      return text.insertEmbed(place(text.length), { image: chance.below(9), nested: [null, -0] });
    case 6:
      return list.insert(place(list.length), [1, NaN, -0, null, {
        a: [1.5],
      }]);
    case 7:
      return list.length > 0 ? list.delete(chance.below(list.length), 1) : undefined;
    case 8:
      return void map.set(
        chance.pick(["a", "b"]),
        chance.pick([1, "x", 2n ** 60n, undefined, new Y.Array(), new Y.Map()]),
      );
    case 9:
      return map.delete("a");
    case 10:
      return xml.insert(place(xml.length), [
        chance.once(2) ? new Y.XmlElement("p") : new Y.XmlText("x"),
      ]);
    case 11:
      return xml.length > 0 ? xml.delete(chance.below(xml.length), 1) : undefined;
    default:
      return list.insert(place(list.length), [
        new Uint8Array([chance.below(9)]),
        new Y.Doc({ guid: "x" }),
      ]);
  }
}

/** What authors have written who meet now and then, each update as it was sent; some keep what was deleted. */
function history(seed: number): { chance: Chance; docs: Y.Doc[]; updates: Uint8Array[] } {
  const chance = new Chance(seed);
  const updates: Uint8Array[] = [];
  const docs = Array.from({ length: AUTHORS }, (_, n) => {
    const doc = new Y.Doc({ gc: n > 0 });
    doc.clientID = n + 1;
    doc.on("update", (update: Uint8Array, origin: unknown) => {
      if (origin !== "meet") updates.push(update);
    });
    return doc;
  });
  for (let n = chance.below(60); n > 0; n--) {
    const doc = chance.pick(docs);
    if (!chance.once(4)) doc.transact(() => editOf(doc, chance));
    else Y.applyUpdate(doc, Y.encodeStateAsUpdate(chance.pick(docs)), "meet");
  }
  return { chance, docs, updates };
}

/** What a client, or a server between it and us, may make of what it has: nothing of it is a conflict. */
function resend({ chance, docs, updates }: ReturnType<typeof history>): Uint8Array {
  const doc = chance.pick(docs);
  const some = Array.from({ length: 1 + chance.below(4) }, () => chance.pick(updates));
  switch (chance.below(5)) {
    case 0:
      return chance.pick(updates);
    case 1:
      return Y.encodeStateAsUpdate(doc);
    case 2: {
      const behind = new Map([1, 2, 3].map((client) => [client, chance.below(40)]));
      return Y.encodeStateAsUpdate(doc, Y.encodeStateVector(behind));
    }
    case 3:
      return Y.mergeUpdates(some);
    default: {
      const other = new Y.Doc({ gc: chance.once(2) });
      for (const update of some) Y.applyUpdate(other, update);
      Y.applyUpdate(other, Y.encodeStateAsUpdate(doc));
      return Y.encodeStateAsUpdate(other);
    }
  }
}

Deno.test("R23: nothing that was written once is ever taken for a conflict, however it is sent again", () => {
  fc.assert(
    fc.property(fc.nat(), (seed) => {
      const past = history(seed);
      if (past.updates.length === 0) return;
      const document = new Document();
      for (let n = 0; n < 30; n++) assert(!take(document, resend(past)));
      for (const doc of past.docs) assert(!take(document, Y.encodeStateAsUpdate(doc)));
    }),
    { numRuns: 300 },
  );
});

Deno.test("R23: a letter that differs is found, wherever it stands, and however its text was cut and joined", () => {
  const [letter, other] = [113, 122]; // q and z, which are in no number of so small a document
  let found = 0;
  fc.assert(
    fc.property(fc.nat(), fc.nat(), (seed, at) => {
      const chance = new Chance(seed);
      const docs = [1, 2].map((clientID) => Object.assign(new Y.Doc(), { clientID }));
      for (let n = 0; n < 30; n++) {
        const text = chance.pick(docs).getText("text");
        const meets = chance.below(6);
        if (meets < 2) Y.applyUpdate(docs[meets]!, Y.encodeStateAsUpdate(docs[1 - meets]!));
        else if (meets === 2 && text.length > 0) text.delete(chance.below(text.length), 1);
        else text.insert(chance.below(text.length + 1), "qq");
      }
      for (const doc of docs) {
        Y.applyUpdate(doc, Y.encodeStateAsUpdate(docs[1 - docs.indexOf(doc)]!));
      }
      const document = new Document();
      for (const doc of docs) take(document, Y.encodeStateAsUpdate(doc));
      const forged = Y.encodeStateAsUpdate(docs[0]!);
      const letters = [...forged.keys()].filter((n) => forged[n] === letter);
      if (letters.length === 0) return;
      forged[letters[at % letters.length]!] = other;
      assert(document.isInConflict(outline(forged)));
      found++;
    }),
    { numRuns: 500 },
  );
  assert(found > 100, `${found} were found`);
});

const write = (edit: (doc: Y.Doc) => void, clientID = 7): Uint8Array => {
  const doc = new Y.Doc({ gc: false });
  doc.clientID = clientID;
  edit(doc);
  return Y.encodeStateAsUpdate(doc);
};

/** Edits that have the same client id and clocks, and are not the same. */
const FORGERIES: Record<string, [(doc: Y.Doc) => void, (doc: Y.Doc) => void]> = {
  "a letter": [
    (doc) => doc.getText("t").insert(0, "abc"),
    (doc) => doc.getText("t").insert(0, "abd"),
  ],
  "an emoji": [
    (doc) => doc.getText("t").insert(0, "😀"),
    (doc) => doc.getText("t").insert(0, "😂"),
  ],
  "the tail of a longer text": [
    (doc) => doc.getText("t").insert(0, "abc"),
    (doc) => doc.getText("t").insert(0, "abXYZ"),
  ],
  "the root type": [
    (doc) => doc.getText("t").insert(0, "a"),
    (doc) => doc.getText("u").insert(0, "a"),
  ],
  "the kind": [(doc) => doc.getText("t").insert(0, "a"), (doc) => doc.getArray("t").insert(0, [1])],
  "a key": [(doc) => doc.getMap("m").set("a", 1), (doc) => doc.getMap("m").set("b", 1)],
  "a value": [(doc) => doc.getMap("m").set("a", 1), (doc) => doc.getMap("m").set("a", 2)],
  "a value deep inside": [
    (doc) => doc.getArray("l").insert(0, [1, { a: [{ b: 1 }] }]),
    (doc) => doc.getArray("l").insert(0, [1, { a: [{ b: 2 }] }]),
  ],
  "bytes": [
    (doc) => doc.getArray("l").insert(0, [new Uint8Array([1])]),
    (doc) => doc.getArray("l").insert(0, [new Uint8Array([2])]),
  ],
  "an embed": [
    (doc) => doc.getText("t").insertEmbed(0, { a: 1 }),
    (doc) => doc.getText("t").insertEmbed(0, { a: 2 }),
  ],
  "a format": [
    (doc) => doc.getText("t").insert(0, "a", { bold: true }),
    (doc) => doc.getText("t").insert(0, "a", { em: true }),
  ],
  "a format's value": [
    (doc) => doc.getText("t").insert(0, "a", { bold: true }),
    (doc) => doc.getText("t").insert(0, "a", { bold: 1 }),
  ],
  "a nested type": [
    (doc) => doc.getArray("l").insert(0, [new Y.Map()]),
    (doc) => doc.getArray("l").insert(0, [new Y.Array()]),
  ],
  "an element's name": [
    (doc) => doc.getXmlFragment("x").insert(0, [new Y.XmlElement("p")]),
    (doc) => doc.getXmlFragment("x").insert(0, [new Y.XmlElement("q")]),
  ],
  "a document": [
    (doc) => doc.getArray("l").insert(0, [new Y.Doc({ guid: "a" })]),
    (doc) => doc.getArray("l").insert(0, [new Y.Doc({ guid: "b" })]),
  ],
  "the left neighbour": [
    (doc) => (doc.getText("t").insert(0, "ab"), doc.getText("t").insert(1, "c")),
    (doc) => (doc.getText("t").insert(0, "ab"), doc.getText("t").insert(2, "c")),
  ],
  "the right neighbour": [
    (doc) => (doc.getText("t").insert(0, "ab"), doc.getText("t").insert(0, "c")),
    (doc) => (doc.getText("t").insert(0, "ab"), doc.getText("t").insert(1, "c")),
  ],
  "the parent": [
    (doc) => {
      const [one, two] = [new Y.Array(), new Y.Array()];
      doc.getArray("l").insert(0, [one, two]);
      one.insert(0, [1]);
    },
    (doc) => {
      const [one, two] = [new Y.Array(), new Y.Array()];
      doc.getArray("l").insert(0, [one, two]);
      two.insert(0, [1]);
    },
  ],
};

for (const [what, [one, two]] of Object.entries(FORGERIES)) {
  Deno.test(`R23: an edit that differs in ${what} is a conflict, either way`, () => {
    for (const [stored, forged] of [[one, two], [two, one]] as const) {
      const document = new Document();
      assert(!take(document, write(stored)));
      assert(!take(document, write(stored)), "the same once more");
      assert(take(document, write(forged)));
    }
  });
}

Deno.test("R23: of what was deleted there is nothing to compare", () => {
  const document = new Document();
  take(
    document,
    write((doc) => (doc.getText("t").insert(0, "abc"), doc.getText("t").delete(0, 3))),
  );
  assert(!take(document, write((doc) => doc.getText("t").insert(0, "xyz"))));
});

/** Two members who write under one client id, as one of them should not. */
function twins(one: TestPeer, two: TestPeer): void {
  for (const { doc, awareness } of [one, two]) doc.clientID = awareness.clientID = 7;
}

Deno.test("R24: who writes under a client id and clock that are taken is closed with 4409, and not acknowledged", async () => {
  const { store, rooms } = world();
  const [alice, bob, mallory] = ["a", "b", "m"].map((who) => new TestPeer(`did:${who}`)) as [
    TestPeer,
    TestPeer,
    TestPeer,
  ];
  twins(alice, mallory);
  for (const peer of [alice, bob, mallory]) peer.join(rooms, "room");
  await settle();
  // Both write at the same moment: only one can be first, also within one commit.
  const commit = gate(store, "append");
  bob.text.insert(0, "bob ");
  await settle();
  mallory.text.insert(0, "mallory");
  mallory.probe(1);
  alice.text.insert(0, "alice");
  alice.text.insert(5, " and more");
  alice.probe(2);
  bob.text.insert(0, "good ");
  bob.probe(3);
  commit.open();
  await settle();
  await settle();
  assertEquals([alice.closed?.code, mallory.closed, bob.closed], [4409, null, null]);
  assert(alice.closed!.reason.includes("client id") && !alice.heard.includes("ack 2"));
  assert(mallory.heard.includes("ack 1") && bob.heard.includes("ack 3"));
  const text = await storedText(store, "room");
  assert(text.includes("mallory") && !text.includes("alice") && !text.includes("more"), text);
  assert(text.includes("good bob"), text);
});

Deno.test("R25: who was impersonated while it was away learns so when it is back, also after a restart", async () => {
  for (const restarts of [false, true]) {
    const store = new MemoryStore();
    let rooms = roomsOn(store, new FakeClock());
    const [alice, mallory] = [new TestPeer("did:a"), new TestPeer("did:m")];
    twins(alice, mallory);
    alice.join(rooms, "room");
    alice.text.insert(0, "hello");
    await settle();
    alice.leave();
    mallory.join(rooms, "room");
    await settle();
    mallory.doc.clientID = 7; // Yjs has taken another one
    mallory.text.insert(5, " mallory was here, and says much");
    await settle();
    mallory.leave();
    alice.text.insert(5, " alice"); // shorter: there is nothing of it that the room would ask for
    if (restarts) rooms = roomsOn(store.another(), new FakeClock());
    alice.join(rooms, "room");
    alice.awareness.setLocalState({ name: "alice" });
    alice.announce();
    alice.probe(1);
    await settle();
    await settle();
    assertEquals([alice.closed?.code, alice.heard.includes("ack 1")], [4409, false]);
  }
});

Deno.test("R25: who comes back and was not impersonated is asked for all of its own at most, and acknowledged", async () => {
  const store = new MemoryStore();
  const rooms = roomsOn(store, new FakeClock());
  const alice = new TestPeer("did:a").join(rooms, "room");
  alice.awareness.setLocalState({ name: "alice" });
  alice.announce();
  alice.text.insert(0, "hello");
  await settle();
  const later = roomsOn(store.another(), new FakeClock());
  for (const [instance, questions] of [[rooms, 1], [later, 2]] as const) {
    alice.leave();
    alice.heard.length = 0;
    alice.text.insert(0, "more ");
    alice.join(instance, "room");
    alice.announce();
    alice.probe(1);
    await settle();
    await settle();
    assertEquals(alice.closed, null);
    assert(alice.heard.filter((what) => what === "step1").length <= questions);
    assert(alice.heard.includes("ack 1"));
  }
  assertEquals(await storedText(store, "room"), alice.text.toString());
});

Deno.test("R26: of two that write under one client id on two instances, the one that is stored later gives way", async () => {
  const store = new MemoryStore();
  const [here, elsewhere] = [store, store.another()];
  const [rooms, others] = [roomsOn(here, new FakeClock()), roomsOn(elsewhere, new FakeClock())];
  const [alice, bob, mallory] = ["a", "b", "m"].map((who) => new TestPeer(`did:${who}`)) as [
    TestPeer,
    TestPeer,
    TestPeer,
  ];
  twins(alice, mallory);
  alice.join(rooms, "room");
  bob.join(rooms, "room");
  mallory.join(others, "room");
  await settle();
  const commit = gate(here, "append");
  alice.text.insert(0, "alice");
  alice.probe(1);
  bob.text.insert(0, "bob");
  bob.probe(2);
  await settle();
  mallory.text.insert(0, "mallory");
  mallory.probe(3);
  await settle();
  assert(mallory.heard.includes("ack 3"));
  commit.open();
  await settle();
  await settle();
  assertEquals([alice.closed?.code, alice.heard.includes("ack 1")], [4409, false]);
  assertEquals([bob.closed, mallory.closed], [null, null]);
  bob.probe(4);
  await settle();
  assert(bob.heard.includes("ack 2") && bob.heard.includes("ack 4"));
  assertEquals(bob.text.toString(), mallory.text.toString());
  assertEquals(await storedText(store, "room"), bob.text.toString());
  assert(bob.text.toString().includes("mallory") && !bob.text.toString().includes("alice"));
});

Deno.test("R24: a conflict in the middle of a large update is found, and what others write goes on", async () => {
  const store = new MemoryStore();
  const rooms = roomsOn(store, new FakeClock(), {}, {}, 8);
  const [alice, bob] = [new TestPeer("did:a"), new TestPeer("did:b")];
  bob.join(rooms, "room");
  const forged = new Y.Doc();
  forged.clientID = alice.doc.clientID = 7;
  const list = (doc: Y.Doc, odd: string) => {
    for (let n = 0; n < 100; n++) doc.getArray("l").insert(0, [n === 70 ? odd : n]);
  };
  list(forged, "mallory");
  bob.sendUpdate(Y.encodeStateAsUpdate(forged));
  for (let turns = 0; turns < 50; turns++) await settle();
  list(alice.doc, "alice");
  alice.join(rooms, "room");
  alice.sendRaw(syncFrame(2, Y.encodeStateAsUpdate(alice.doc)));
  alice.probe(1);
  bob.text.insert(0, "bob");
  bob.probe(2);
  for (let turns = 0; turns < 50; turns++) await settle();
  assertEquals([alice.closed?.code, alice.heard.includes("ack 1")], [4409, false]);
  assert(bob.heard.includes("ack 2"));
});
