import { assert, assertEquals } from "@std/assert";
import { awarenessFrame, poison, syncFrame, TestPeer, updatesOf } from "./test_peer.ts";
import { gate, settle, storedText, world } from "./world.ts";

Deno.test("W1: a newcomer is asked for what it has, so that what it wrote offline comes up", async () => {
  const { store, rooms } = world();
  const bob = new TestPeer("did:b").join(rooms, "room");
  const alice = new TestPeer("did:a");
  alice.text.insert(0, "written offline");
  alice.join(rooms, "room");
  await settle();
  assertEquals(alice.heard[0], "step1");
  assertEquals(bob.text.toString(), "written offline");
  assertEquals(await storedText(store, "room"), "written offline");
});

Deno.test("W2: a probe is echoed to the byte, whatever is in it, and to its sender alone", async () => {
  const { rooms } = world();
  const [alice, bob] = [new TestPeer("did:a"), new TestPeer("did:b")];
  for (const peer of [alice, bob]) peer.join(rooms, "room");
  await settle();
  const echoed: Uint8Array[] = [];
  alice.send = (frame) => void echoed.push(frame);
  const probes = [[102], [102, 0], [102, 3, 1, 2, 3], [102, 255, 255, 255]].map((bytes) =>
    new Uint8Array(bytes)
  );
  for (const probe of probes) alice.sendRaw(probe);
  await settle();
  assertEquals(echoed, probes);
  assertEquals(bob.heard, ["step1", "step2"]);
});

Deno.test("W15: echoes that cannot be sent yet come all, in order, once they can", async () => {
  const { clock, rooms } = world();
  const alice = new TestPeer("did:a").join(rooms, "room");
  await settle();
  alice.buffered = 2 ** 21;
  for (let n = 0; n < 100; n++) alice.probe(n);
  await settle();
  assertEquals(alice.heard, ["step1", "step2"]);
  alice.buffered = 0;
  clock.advance(100);
  assertEquals(alice.heard.slice(2), Array.from({ length: 100 }, (_, n) => `ack ${n}`));
  assertEquals(alice.closed, null);
});

for (const why of ["its buffer is full", "an edit of it has a gap", "a commit is under way"]) {
  Deno.test(`W15: whose probes come to more than 1 MiB while ${why} is closed with 1013, and hears no echo`, async () => {
    const { store, rooms } = world();
    const mallory = new TestPeer("did:m").join(rooms, "room");
    await settle();
    const [first, second] = updatesOf((text) => text.insert(0, "x"), (text) => text.insert(1, "y"));
    if (why === "its buffer is full") mallory.buffered = 2 ** 21;
    else if (why === "an edit of it has a gap") mallory.sendUpdate(second!);
    else {
      gate(store, "append");
      mallory.sendUpdate(first!);
    }
    await settle();
    const probe = new Uint8Array(64 * 1024);
    probe[0] = 102;
    for (let n = 0; n < 15; n++) {
      mallory.sendRaw(probe.slice());
      await settle();
    }
    assertEquals(mallory.closed, null);
    mallory.sendRaw(probe);
    assertEquals(mallory.closed?.code, 1013);
    assert(!mallory.heard.some((what) => what.startsWith("ack")), mallory.heard.join());
  });
}

Deno.test("W8: a type of one byte that takes two cannot be read: its size would not be limited", async () => {
  const { rooms } = world();
  for (const type of [0, 1, 3, 102]) {
    const alice = new TestPeer("did:a").join(rooms, "room");
    await settle();
    alice.sendRaw(new Uint8Array([type | 0x80, 0, 0]));
    assertEquals(alice.closed?.code, 4400, String(type));
  }
});

const POISON = syncFrame(2, poison());

const BAD_FRAMES: Record<string, Uint8Array> = {
  "an empty frame": new Uint8Array(),
  "an unknown type": new Uint8Array([77]),
  "an unknown sync step": syncFrame(9, new Uint8Array()),
  "a truncated length": new Uint8Array([0, 2, 0xff]),
  "a length beyond the end": new Uint8Array([0, 2, 200, 1, 2]),
  "a length of 2^53": new Uint8Array([0, 2, 255, 255, 255, 255, 255, 255, 255, 15]),
  "bytes after the end": new Uint8Array([...syncFrame(2, new Uint8Array([0, 0])), 1]),
  "an update of noise": syncFrame(2, new Uint8Array([9, 9, 9, 9])),
  "a truncated update": syncFrame(2, updatesOf((text) => text.insert(0, "hello"))[0]!.slice(0, -4)),
  "a state vector of noise": syncFrame(0, new Uint8Array([200, 1])),
  "awareness of noise": awarenessFrame(new Uint8Array([5, 1])),
  "awareness that is no JSON": awarenessFrame(new Uint8Array([1, 1, 1, 1, 123])),
  "an update that breaks the document": POISON,
};

for (const [what, frame] of Object.entries(BAD_FRAMES)) {
  Deno.test(`W3: ${what} costs its sender the connection, and nobody else notices`, async () => {
    const { store, rooms } = world();
    const [alice, mallory] = [new TestPeer("did:a"), new TestPeer("did:m")];
    for (const peer of [alice, mallory]) peer.join(rooms, "room");
    await settle();
    const commit = gate(store, "append");
    alice.text.insert(0, "a");
    await settle();
    alice.text.insert(1, "b"); // shares its batch with the bad frame
    mallory.sendRaw(frame);
    alice.text.insert(2, "c");
    alice.probe(1);
    commit.open();
    await settle();
    assertEquals(mallory.closed?.code, 4400);
    assertEquals(store.pulls > 1, frame === POISON, "only poison makes the document be rebuilt");
    assert(mallory.closed!.reason.length > 0);
    assertEquals(alice.closed, null);
    assertEquals(alice.heard.at(-1), "ack 1");
    assertEquals(await storedText(store, "room"), "abc");
    const bob = new TestPeer("did:b").join(rooms, "room");
    await settle();
    assertEquals(bob.text.toString(), "abc");
  });
}

Deno.test("W4: a peer that hears nothing for 20 s is sent a sign of life", async () => {
  const { clock, rooms } = world();
  const alice = new TestPeer("did:a").join(rooms, "room");
  await settle();
  alice.heard.length = 0;
  clock.advance(19_000);
  assertEquals(alice.heard, []);
  clock.advance(6_000);
  assertEquals(alice.heard, ["awareness"]);
  assertEquals(alice.sees.length, 1, "it sees somebody who is not there");
});

Deno.test("W3: what another instance stored is not lost on the peers when a bad frame spoils the document", async () => {
  const { store, rooms } = world();
  const [alice, mallory] = [new TestPeer("did:a"), new TestPeer("did:m")];
  for (const peer of [alice, mallory]) peer.join(rooms, "room");
  await settle();
  const elsewhere = store.another();
  elsewhere.disk.tell = () => {}; // the message is lost
  const [update] = updatesOf((text) => text.insert(0, "from elsewhere"));
  await elsewhere.log("room").append(update!);
  mallory.sendRaw(POISON);
  await settle();
  assertEquals(alice.text.toString(), "from elsewhere");
});
