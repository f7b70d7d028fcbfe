import { assert, assertEquals } from "@std/assert";
import { setImmediate } from "node:timers";
import * as fc from "fast-check";
import { removeAwarenessStates } from "y-protocols/awareness";
import { FakeClock } from "../fake_clock.ts";
import { MemoryStore } from "./memory_store.ts";
import { TestPeer } from "./test_peer.ts";
import { LINGER, roomsOn, settle, world } from "./world.ts";

/** Peers in one room who have told their names; every peer answers for the DID `did:<name>`. */
async function meet(...names: string[]) {
  const { rooms, clock } = world();
  const peers = names.map((name) => named(name).join(rooms, "room"));
  for (const peer of peers) peer.announce();
  await settle();
  return { rooms, clock, peers };
}

/** Two instances, and time that passes for both. */
function apart() {
  const { store, clock, rooms } = world();
  const elsewhere = store.another();
  const others = roomsOn(elsewhere, clock);
  const pass = async (ms: number) => {
    await settle();
    clock.advance(ms);
    await settle();
  };
  return { store, elsewhere, clock, rooms, others, pass };
}

function named(name: string): TestPeer {
  const peer = new TestPeer(`did:${name}`);
  peer.awareness.setLocalState({ name });
  return peer;
}

Deno.test("P1: everyone sees everyone, a newcomer too, and each hears its own state back", async () => {
  const { rooms, clock, peers } = await meet("alice", "bob");
  const carol = named("carol").join(rooms, "room");
  await settle();
  clock.advance(200); // she says nothing
  await settle();
  assertEquals(carol.sees, ["alice", "bob", "carol"]);
  carol.heard.length = 0;
  carol.announce();
  await settle();
  assertEquals(carol.heard, ["awareness"]);
  for (const peer of peers) assertEquals(peer.sees, ["alice", "bob", "carol"]);
});

Deno.test("P2: who leaves, or is cut off, is gone for the others at once", async () => {
  const { peers: [alice, bob, carol] } = await meet("alice", "bob", "carol");
  bob!.leave();
  await settle();
  assertEquals(alice!.sees, ["alice", "carol"]);
  carol!.awareness.setLocalState(null);
  carol!.announce();
  await settle();
  assertEquals(alice!.sees, ["alice"]);
});

Deno.test("P3: a client id belongs to its connection: what others say of it is passed over", async () => {
  const { peers: [alice, bob, mallory] } = await meet("alice", "bob", "mallory");
  const forged = mallory!.awareness.meta.get(alice!.doc.clientID)!;
  forged.clock += 10;
  mallory!.awareness.states.set(alice!.doc.clientID, { name: "not alice" });
  mallory!.announce([alice!.doc.clientID]);
  await settle();
  assertEquals(bob!.sees, ["alice", "bob", "mallory"]);
  mallory!.awareness.states.delete(alice!.doc.clientID);
  mallory!.announce([alice!.doc.clientID]);
  await settle();
  assertEquals(bob!.sees, ["alice", "bob", "mallory"]);
  assertEquals(mallory!.closed, null, "it was punished for what stock clients do");
});

Deno.test("P13: others see the DID of the connection in every state, whatever its client says, and it sees its own", async () => {
  const { peers: [alice, bob] } = await meet("alice", "bob");
  const stateOf = (who: TestPeer, by: TestPeer) => by.awareness.getStates().get(who.doc.clientID);
  alice!.awareness.setLocalState({ name: "alice", did: "did:bob", cursor: { did: "did:bob" } });
  alice!.announce();
  await settle();
  assertEquals(stateOf(alice!, bob!), {
    name: "alice",
    did: "did:alice",
    cursor: { did: "did:bob" },
  });
  assertEquals(stateOf(alice!, alice!)!.did, "did:bob", "its own state is its own");
  alice!.awareness.setLocalState(["no object"] as never);
  alice!.announce();
  await settle();
  assertEquals(stateOf(alice!, bob!) as unknown, ["no object"]);
});

Deno.test("P4: the echo of somebody who has just left raises no ghost", async () => {
  const { rooms, clock, peers: [alice, bob] } = await meet("alice", "bob");
  const states = new Map(bob!.awareness.getStates());
  alice!.leave();
  for (const [clientId, state] of states) bob!.awareness.states.set(clientId, state);
  bob!.announce([alice!.doc.clientID, bob!.doc.clientID]);
  const carol = named("carol").join(rooms, "room");
  await settle();
  clock.advance(200);
  await settle();
  assertEquals(carol.sees, ["bob", "carol"]);
});

Deno.test("P5: who comes back with the clock that it had is seen again at once", async () => {
  const { rooms, peers: [alice, bob] } = await meet("alice", "bob");
  alice!.leave();
  await settle();
  assertEquals(bob!.sees, ["bob"]);
  alice!.join(rooms, "room").announce();
  await settle();
  assertEquals(bob!.sees, ["alice", "bob"]);
  alice!.awareness.setLocalState({ name: "alice, moving" });
  alice!.announce();
  await settle();
  assertEquals(bob!.sees, ["alice, moving", "bob"]);
});

Deno.test("P5: so is who comes to an instance that has never seen it, for those who knew it elsewhere", async () => {
  const { store, clock, rooms } = world();
  const [alice, bob] = [named("alice").join(rooms, "room"), named("bob").join(rooms, "room")];
  for (const peer of [alice, bob]) peer.announce();
  await settle();
  clock.advance(3_000);
  for (const peer of [alice, bob]) peer.leave();
  const elsewhere = roomsOn(store.another(), clock);
  for (const peer of [alice, bob]) peer.join(elsewhere, "room");
  alice.announce();
  await settle();
  assertEquals(bob.sees, ["alice", "bob"]);
});

Deno.test("P5: who comes back, having forgotten who was there, sees everyone at once", async () => {
  const { rooms, peers: [alice, bob] } = await meet("alice", "bob");
  bob!.leave();
  removeAwarenessStates(bob!.awareness, [alice!.doc.clientID], "y-websocket does this");
  assertEquals(bob!.sees, ["bob"]);
  bob!.join(rooms, "room").announce();
  await settle();
  assertEquals([alice!.sees, bob!.sees], [["alice", "bob"], ["alice", "bob"]]);
});

Deno.test("P12: what another instance remembers of a client does not undo what it has become", async () => {
  const { store, clock, rooms } = world();
  const elsewhere = roomsOn(store.another(), clock);
  const bob = named("bob").join(elsewhere, "room");
  const alice = named("alice").join(rooms, "room");
  for (const peer of [alice, bob]) peer.announce();
  await settle();
  clock.advance(250);
  await settle();
  assertEquals(bob.sees, ["alice", "bob"]);
  alice.awareness.setLocalState({ name: "alice, who was offline" });
  alice.join(elsewhere, "room"); // her old line is not known to be dead
  await settle();
  alice.announce();
  await settle();
  clock.advance(1_000);
  await settle();
  for (const peer of [alice, bob]) assertEquals(peer.sees, ["alice, who was offline", "bob"]);
});

Deno.test("P6: who comes back before its old line was found dead keeps its place", async () => {
  const { rooms, peers: [old, bob] } = await meet("alice", "bob");
  const alice = named("alice");
  alice.doc.clientID = alice.awareness.clientID = old!.doc.clientID;
  alice.awareness.states.clear();
  alice.awareness.setLocalState({ name: "alice, again" });
  alice.join(rooms, "room").announce();
  await settle();
  assertEquals(bob!.sees, ["alice, again", "bob"]);
  old!.leave();
  await settle();
  assertEquals(bob!.sees, ["alice, again", "bob"]);
});

Deno.test("P6: nobody else takes the place of somebody who is there", async () => {
  const { rooms, peers: [alice, bob] } = await meet("alice", "bob");
  const mallory = named("mallory");
  mallory.doc.clientID = mallory.awareness.clientID = alice!.doc.clientID;
  mallory.awareness.states.clear();
  mallory.awareness.setLocalState({ name: "not alice" });
  mallory.join(rooms, "room").announce();
  await settle();
  assertEquals(bob!.sees, ["alice", "bob"]);
});

Deno.test("P7: who asks is told who is there", async () => {
  const { peers: [alice] } = await meet("alice", "bob");
  const clockOf = ({ doc, awareness }: TestPeer) => awareness.meta.get(doc.clientID)!.clock;
  const before = clockOf(alice!);
  alice!.awareness.states.clear();
  alice!.awareness.meta.clear();
  alice!.queryAwareness();
  await settle();
  assertEquals(alice!.sees, ["alice", "bob"]);
  assertEquals(clockOf(alice!), before, "it was told another clock than its own");
});

Deno.test("P8: who is on another instance is seen within half a second, and gone with it", async () => {
  const { store, elsewhere, rooms, others, pass } = apart();
  const [alice, bob] = [named("alice").join(rooms, "room"), named("bob").join(others, "room")];
  alice.announce();
  bob.announce();
  await pass(250);
  assertEquals([alice.sees, bob.sees], [["alice", "bob"], ["alice", "bob"]]);
  const carol = named("carol").join(rooms, "room");
  await pass(200);
  assertEquals(carol.sees, ["alice", "bob", "carol"]);

  let published = 0;
  elsewhere.before = (operation) => void (operation === "publish" && published++);
  for (let n = 0; n < 100; n++) {
    bob.awareness.setLocalState({ name: `bob at ${n}` });
    bob.announce();
    await pass(10);
  }
  await pass(250);
  assertEquals(alice.sees, ["alice", "bob at 99"]);
  assert(published <= 5, `${published} writes in a second`);

  bob.leave();
  await pass(250);
  assertEquals(alice.sees, ["alice"]);
  bob.join(others, "room").announce();
  await pass(250);
  assertEquals(alice.sees, ["alice", "bob at 99"]);
  await elsewhere.close(); // it dies, and its word with it
  store.told("room", "presence");
  await pass(0);
  assertEquals(alice.sees, ["alice"]);
});

Deno.test("P9: who could not be told for its buffer was full is told who has come and gone, once it drains", async () => {
  const { clock, rooms } = world();
  const [alice, bob] = [named("alice").join(rooms, "room"), named("bob").join(rooms, "room")];
  await settle();
  for (const peer of [alice, bob]) peer.announce();
  await settle();
  alice.buffered = 2 * 1024 * 1024;
  bob.leave();
  named("carol").join(rooms, "room").announce();
  await settle();
  clock.advance(1_000);
  assertEquals(alice.sees, ["alice", "bob"], "it was told although its buffer was full");
  alice.buffered = 0;
  clock.advance(20);
  assertEquals(alice.sees, ["alice", "carol"]);
});

Deno.test("P10: what other instances could not be told is told until the store takes it", async () => {
  const { store, rooms, others, pass } = apart();
  const [alice, bob] = [named("alice").join(rooms, "room"), named("bob").join(others, "room")];
  alice.announce();
  await pass(250);
  assert(bob.sees.includes("alice"));
  store.before = (operation) => {
    if (operation === "publish") throw new Error("not now");
  };
  alice.leave();
  await pass(LINGER); // the room leaves memory, and must be told of all the same
  assert(bob.sees.includes("alice"));
  store.before = () => {};
  await pass(2_000);
  assert(!bob.sees.includes("alice"), bob.sees.join());
});

Deno.test("P8: an instance that starts later hears who is there already", async () => {
  const { store, clock, rooms } = world();
  const alice = named("alice").join(rooms, "room");
  alice.announce();
  await settle();
  const others = roomsOn(store.another(), clock);
  const bob = named("bob").join(others, "room");
  for (let n = 0; n < 2; n++) {
    await settle();
    clock.advance(250);
  }
  await settle();
  assert(bob.sees.includes("alice"), bob.sees.join());
});

Deno.test("P8: who moves from one instance to another is seen all the time", async () => {
  const { rooms, others, pass } = apart();
  const [alice, bob] = [named("alice").join(rooms, "room"), named("bob").join(others, "room")];
  for (const peer of [alice, bob]) peer.announce();
  await pass(250);
  bob.join(rooms, "room").announce(); // its old line is not yet found dead
  await pass(250);
  assertEquals(alice.sees, ["alice", "bob"]);
  bob.awareness.setLocalState({ name: "bob, moved" });
  bob.announce();
  await pass(250);
  assertEquals(alice.sees, ["alice", "bob, moved"]);
});

Deno.test("P14: a state that is too large is not shown; its client is told why, once, and stays", async () => {
  const { peers: [alice, bob] } = await meet("alice", "bob");
  for (const size of [5_000, 6_000]) {
    alice!.awareness.setLocalState({ name: "alice, with a picture", picture: "x".repeat(size) });
    alice!.announce();
  }
  await settle();
  assertEquals(bob!.sees, ["alice", "bob"]);
  assertEquals(alice!.heard.filter((what) => what === "denied").length, 1);
  assertEquals(alice!.closed, null);
  alice!.awareness.setLocalState({ name: "alice, without" });
  alice!.announce();
  await settle();
  assertEquals(bob!.sees, ["alice, without", "bob"]);
});

Deno.test("P14: a connection that claims a thousand client ids gets thirty-two", async () => {
  const { peers: [alice, mallory] } = await meet("alice", "mallory");
  const ids = Array.from({ length: 1_000 }, (_, n) => n + 1);
  for (const id of ids) {
    mallory!.awareness.states.set(id, { name: "crowd" });
    mallory!.awareness.meta.set(id, { clock: 1, lastUpdated: 0 });
  }
  for (const id of ids) mallory!.announce([id]);
  await settle();
  assertEquals(alice!.sees.filter((name) => name === "crowd").length, 31, "and it is there itself");
});

Deno.test("P15: of a client that moves too fast others see every so often where it is, and where it stops", async () => {
  const { clock, rooms } = world({ maxRate: 20 });
  const [alice, bob] = [named("alice").join(rooms, "room"), named("bob").join(rooms, "room")];
  bob.announce(); // and is told who is there
  await settle();
  const seen: number[] = [];
  bob.awareness.on("update", () => {
    seen.push(bob.awareness.getStates().get(alice.doc.clientID)!.x as number);
  });
  for (let x = 0; x <= 100; x++, clock.advance(5)) {
    alice.awareness.setLocalState({ name: "alice", x });
    alice.announce();
    await settle();
  }
  clock.advance(100);
  await settle();
  assertEquals(seen.at(-1), 100);
  assertEquals(seen.length, 12, "500 ms, at 20 a second, and where it stopped");
});

Deno.test("P15: who leaves while something of it waits is gone", async () => {
  const { clock, rooms } = world({ maxRate: 20 });
  const [alice, bob] = [named("alice").join(rooms, "room"), named("bob").join(rooms, "room")];
  for (const peer of [alice, alice, bob]) peer.announce();
  await settle();
  alice.leave();
  clock.advance(1_000);
  await settle();
  assertEquals(bob.sees, ["bob"]);
});

Deno.test("P16: where readers are not to be seen, who becomes one vanishes, and comes back as a writer", async () => {
  const { rooms } = world({ ofReaders: false });
  const [alice, bob] = [named("alice").join(rooms, "room"), named("bob").join(rooms, "room")];
  for (const peer of [alice, bob]) peer.announce();
  await settle();
  assertEquals(bob.sees, ["alice", "bob"]);
  alice.become("reader");
  alice.announce();
  await settle();
  assertEquals([alice.sees, bob.sees], [["alice", "bob"], ["bob"]]);
  alice.become("writer");
  await settle();
  assertEquals(bob.sees, ["alice", "bob"], "without waiting for its next movement");
});

/** What happens to the people of a room: each comes to an instance, goes, or is there while it restarts. */
const happenings = (instances: number) =>
  fc.array(
    fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({
          does: fc.constant("come" as const),
          who: fc.nat(2),
          to: fc.nat(instances - 1),
        }),
      },
      { weight: 2, arbitrary: fc.record({ does: fc.constant("go" as const), who: fc.nat(2) }) },
      {
        weight: 1,
        arbitrary: fc.record({
          does: fc.constant("restart" as const),
          which: fc.nat(instances - 1),
        }),
      },
      {
        weight: 1,
        arbitrary: fc.record({
          does: fc.constant("wait" as const),
          ms: fc.constantFrom(1_000, LINGER + 1),
        }),
      },
    ),
    { maxLength: 40, size: "max" },
  );

/** Lets everything run that waits for nothing but its turn, and does so within microseconds. */
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

for (const count of [1, 2]) {
  Deno.test(`P5: whoever comes and goes however often, over restarts of ${count} instance(s), sees and is seen at once`, async () => {
    await fc.assert(
      fc.asyncProperty(happenings(count), async (all) => {
        const clock = new FakeClock();
        let store = new MemoryStore();
        const disk = store;
        const start = () => {
          store = disk.another();
          return { store, rooms: roomsOn(store, clock) };
        };
        await disk.close(); // it holds what the others share, and is no instance
        const instances = Array.from({ length: count }, start);
        const people = ["a", "b", "c"].map((name) => ({ peer: named(name), at: -1 }));
        const go = (person: typeof people[number]) => {
          person.peer.leave();
          person.at = -1;
          const { awareness, doc } = person.peer;
          const others = [...awareness.getStates().keys()].filter((id) => id !== doc.clientID);
          removeAwarenessStates(awareness, others, "y-websocket does this");
        };
        for (const each of all) {
          if (each.does === "come") {
            const person = people[each.who]!;
            if (person.at >= 0) go(person);
            person.peer.join(instances[each.to]!.rooms, "room").announce();
            person.at = each.to;
          } else if (each.does === "go") go(people[each.who]!);
          else if (each.does === "restart") {
            for (const person of people) if (person.at === each.which) go(person);
            await instances[each.which]!.store.close();
            instances[each.which] = start();
          } else clock.advance(each.ms);
          // With others it takes them a quarter of a second to tell.
          for (let n = 0; n < 4; n++) {
            if (n > 0 && count > 1) clock.advance(250);
            for (let turns = 0; turns < 5; turns++) await turn();
          }
          const here = people.filter(({ at }) => at >= 0);
          const names = here.map(({ peer }) => peer.did.slice(4));
          for (const { peer } of here) {
            assertEquals(peer.sees, names, `after ${JSON.stringify(each)}`);
          }
        }
      }),
      { numRuns: 60 },
    );
  });
}

/** A page of somebody whose awareness id is another's. */
function withIdOf(other: TestPeer, name: string): TestPeer {
  const peer = named(name);
  peer.doc.clientID = peer.awareness.clientID = other.doc.clientID;
  peer.awareness.states.clear();
  peer.awareness.setLocalState({ name });
  return peer;
}

Deno.test("P17: the id of who has left is nobody else's: it is seen again when it comes back", async () => {
  const { rooms, peers: [alice, bob] } = await meet("alice", "bob");
  alice!.leave();
  const mallory = withIdOf(alice!, "mallory").join(rooms, "room");
  mallory.announce();
  await settle();
  assertEquals(bob!.sees, ["bob"]);
  alice!.join(rooms, "room").announce();
  await settle();
  assertEquals(bob!.sees, ["alice", "bob"]);
  assertEquals(mallory.closed, null);
});

Deno.test("P17: no coming and going of others makes a room forget whose an id was, but for an hour's passing", async () => {
  const { rooms, clock, peers: [alice, bob] } = await meet("alice", "bob");
  alice!.leave();
  for (let n = 0; n < 60; n++) {
    const mallory = named("mallory").join(rooms, "room");
    for (let id = 1; id <= 32; id++) {
      mallory.awareness.states.set(1_000 * n + id, { name: "crowd" });
      mallory.awareness.meta.set(1_000 * n + id, { clock: 1, lastUpdated: 0 });
    }
    mallory.announce([...mallory.awareness.getStates().keys()]);
    await settle();
    mallory.leave();
  }
  const mallory = withIdOf(alice!, "mallory").join(rooms, "room");
  mallory.announce();
  await settle();
  assertEquals(bob!.sees, ["bob"]);
  clock.advance(60 * 60 * 1_000);
  bob!.announce();
  await settle();
  mallory.announce();
  await settle();
  assertEquals(bob!.sees, ["bob", "mallory"]);
});

Deno.test("P17: nor can it be taken on another instance, whether that has the room or opens it later", async () => {
  for (const opens of ["before", "later"]) {
    const { rooms, others, pass } = apart();
    const [alice, bob] = [named("alice").join(rooms, "room"), named("bob").join(rooms, "room")];
    const carol = named("carol");
    if (opens === "before") carol.join(others, "room").announce();
    for (const peer of [alice, bob]) peer.announce();
    await pass(250);
    alice.leave();
    await pass(250);
    withIdOf(alice, "mallory").join(others, "room").announce();
    await pass(250);
    await pass(250);
    assertEquals(bob.sees, opens === "before" ? ["bob", "carol"] : ["bob"]);
    alice.join(others, "room").announce();
    await pass(250);
    await pass(250);
    assert(bob.sees.includes("alice"), `the other instance opened the room ${opens}: ${bob.sees}`);
  }
});

Deno.test("P19: questions who is there that come together are one question, and news that comes together is one frame", async () => {
  const { peers: [alice, bob, carol] } = await meet("alice", "bob", "carol");
  for (const { heard } of [alice!, bob!, carol!]) heard.length = 0;
  for (let n = 0; n < 20_000; n++) alice!.queryAwareness();
  await settle();
  assertEquals([alice!.heard, bob!.heard], [["awareness"], []]);
  for (const peer of [alice!, bob!, carol!]) {
    peer.awareness.setLocalState({ name: "moved" });
    peer.announce();
  }
  alice!.heard.length = 0;
  await settle();
  for (const { heard, sees } of [alice!, bob!, carol!]) {
    assertEquals(heard, ["awareness"]);
    assertEquals(sees, ["moved", "moved", "moved"]);
  }
});

Deno.test("P20: in a large room that all move in, each is told less often, and where all are in the end", async () => {
  const { rooms, clock } = world();
  const crowd = Array.from({ length: 300 }, (_, n) => named(String(1_000 + n)).join(rooms, "room"));
  for (const peer of crowd) peer.announce();
  await settle();
  clock.advance(1_000);
  await settle();
  const [first] = crowd as [TestPeer];
  first.heard.length = 0;
  for (let ms = 0; ms < 200; ms += 10) {
    for (const peer of crowd.slice(0, 100)) {
      peer.awareness.setLocalState({ name: `at ${ms}`, more: "x".repeat(100) });
      peer.announce();
    }
    await settle();
    clock.advance(10);
  }
  assert(first.heard.length < 15, `${first.heard.length} frames in 200 ms`);
  clock.advance(1_000);
  await settle();
  for (const peer of crowd) {
    assertEquals(peer.sees.filter((name) => name === "at 190").length, 100);
  }
});

Deno.test("P18: of two DIDs that use one client id on two instances, the first is seen on both", async () => {
  const { store, elsewhere, rooms, others, pass } = apart();
  const [alice, bob] = [named("alice").join(rooms, "room"), named("bob").join(rooms, "room")];
  for (const peer of [alice, bob]) peer.announce();
  await settle();
  elsewhere.before = (operation) => {
    if (operation === "others") throw new Error("it does not hear of alice");
  };
  const carol = named("carol").join(others, "room");
  carol.announce();
  await pass(1_000);
  withIdOf(alice, "mallory").join(others, "room").announce();
  await pass(1_000);
  assertEquals(carol.sees, ["carol", "mallory"]);
  elsewhere.before = () => {};
  for (let n = 0; n < 4; n++) {
    store.told("room", "presence");
    elsewhere.told("room", "presence");
    await pass(250);
  }
  assertEquals(bob.sees.filter((name) => name !== "carol"), ["alice", "bob"]);
  assertEquals(carol.sees.filter((name) => name !== "bob"), ["alice", "carol"]);
});
