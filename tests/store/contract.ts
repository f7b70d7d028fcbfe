/**
 * What every engine must do. An engine's own test file calls {@linkcode testRoomStore} with a way to
 * make an empty store; here an update is any bytes, as it is to the engines.
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import * as fc from "fast-check";
import { until } from "../until.ts";
import {
  type Premise,
  PremiseError,
  RoomDeletedError,
  type RoomLog,
  type RoomStore,
} from "../../src/store/room_store.ts";

/** A fresh store, twice: as two instances of the service would have it open. */
export interface TwoInstances extends AsyncDisposable {
  ours: RoomStore;
  theirs: RoomStore;
  /** Changes something in the store that premises can be about. Returns what it is now. */
  change(key: Deno.KvKey): Promise<Premise>;
}

const MB = 1024 * 1024;

/** Registers the contract's tests for one engine. */
export function testRoomStore(engine: string, open: () => Promise<TwoInstances>): void {
  const test = (rule: string, body: (stores: TwoInstances) => Promise<void>) =>
    Deno.test(`${rule} (${engine})`, async () => {
      await using stores = await open();
      await body(stores);
    });

  test("S1: a room that nobody has written is empty", async ({ ours }) => {
    const log = ours.log("nobody's");
    assertEquals(await log.pull(), []);
    assertEquals(log.size, { snapshotBytes: 0, entries: 0, bytes: 0 });
  });

  test("S2: what was appended is read back, in order and to the byte", async ({ ours, theirs }) => {
    const log = ours.log("room");
    await log.pull();
    const updates = [bytes(1), bytes(0), bytes(300), bytes(61_435), bytes(61_436), bytes(61_440)];
    for (const update of updates) assertEquals(await log.append(update), []);
    assertEquals(await theirs.log("room").pull(), updates);
    assertEquals(await ours.log("roo").pull(), [], "another room saw them");
  });

  test("S3: an update of 5 MB and a snapshot of 10 MB come back", async ({ ours, theirs }) => {
    const log = ours.log("large");
    await log.pull();
    const update = bytes(5 * MB);
    await log.append(update);
    assertEquals((await theirs.log("large").pull())[0], update);
    const snapshot = bytes(10 * MB);
    assert(await log.compact(snapshot));
    assertEquals(await theirs.log("large").pull(), [snapshot]);
  });

  test("S4: of two writers neither loses an update, and each learns what it missed", async (stores) => {
    const [ours, theirs] = [stores.ours.log("both"), stores.theirs.log("both")];
    await Promise.all([ours.pull(), theirs.pull()]);
    assertEquals(await ours.append(bytes(1)), []);
    assertEquals(await theirs.append(bytes(2)), [bytes(1)]);
    assertEquals(await ours.append(bytes(3)), [bytes(2)]);
    assertEquals(await theirs.pull(), [bytes(3)]);
    assertEquals(await theirs.pull(), []);
  });

  test("S5: a snapshot takes the place of all that was before it", async ({ ours, theirs }) => {
    const log = ours.log("folded");
    await log.pull();
    const behind = theirs.log("folded");
    await log.append(bytes(10));
    assertEquals(await behind.pull(), [bytes(10)]);
    await log.append(bytes(20));
    assertEquals(log.size, { snapshotBytes: 0, entries: 2, bytes: 30 });
    assert(await log.compact(bytes(25)));
    assertEquals(log.size, { snapshotBytes: 25, entries: 0, bytes: 0 });
    await log.append(bytes(30));
    assertEquals(await theirs.log("folded").pull(), [bytes(25), bytes(30)]);
    assertEquals(await behind.pull(), [bytes(25), bytes(30)], "who is behind gets the snapshot");
  });

  test("S6: of two compactions one wins, and an append beside them stays", async (stores) => {
    const [ours, theirs] = [stores.ours.log("raced"), stores.theirs.log("raced")];
    await ours.pull();
    await ours.append(bytes(10));
    await theirs.pull();
    const [a, b] = await Promise.all([
      ours.compact(bytes(11)),
      theirs.compact(bytes(12)),
      theirs.append(bytes(13)),
    ]);
    assert(!(a && b), "both compactions won");
    const stored = await stores.ours.log("raced").pull();
    assertEquals(stored.at(-1), bytes(13));
    assertEquals(stored.length, 2);
  });

  test("S7: whatever two instances do, each update stays or is in a snapshot", async (stores) => {
    let room = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        await interleave(stores, `room ${room++}`, steps);
      }),
      { numRuns: 100 },
    );
  });

  test("S8: a store that is there answers a ping", async ({ ours }) => await ours.ping());

  test("S14: an instance is told of what another appends, and in the long run of nothing else", async (stores) => {
    const told = { watched: 0, another: 0 };
    const stops = (["watched", "another"] as const).map((room) =>
      stores.ours.watch(room, (what) => what === "log" && told[room]++)
    );
    const log = stores.theirs.log("watched");
    await log.pull();
    for (let n = 0; n < 5; n++) {
      const before = { ...told };
      await log.append(bytes(n));
      await until(() => told.watched > before.watched);
      if (n > 0) assertEquals(told.another, before.another); // at first it may not know what is news
    }
    stops.forEach((stop) => stop());
  });

  test("S15: a deleted room is empty, and whoever had it open can neither read nor write it", async (stores) => {
    const [ours, theirs] = [stores.ours.log("room"), stores.theirs.log("room")];
    await ours.pull();
    await ours.append(bytes(100_000));
    await ours.compact(bytes(200_000));
    await theirs.pull();
    await stores.ours.log("rooms, another").append(bytes(1));
    await stores.theirs.delete("room");
    await assertRejects(() => ours.append(bytes(3)), RoomDeletedError);
    await assertRejects(() => theirs.pull(), RoomDeletedError);
    const anew = stores.ours.log("room");
    assertEquals(await anew.pull(), []);
    await anew.append(bytes(4));
    await assertRejects(() => theirs.append(bytes(5)), RoomDeletedError);
    assertEquals(await stores.theirs.log("room").pull(), [bytes(4)]);
    assertEquals(await stores.theirs.log("rooms, another").pull(), [bytes(1)]);
    await stores.ours.delete("never there");
  });

  test("S16: the rooms that hold anything are listed", async ({ ours, theirs }) => {
    const names = ["", "a", "a/b", "at://did:plc:x/y/z", "ä", "🎉", "B"].map((name) => `${name}.`);
    for (const name of names) await ours.log(name).append(bytes(70_000));
    await ours.delete("B.");
    assertEquals((await Array.fromAsync(theirs.rooms())).sort(), names.slice(0, -1).sort());
  });

  test("S17: an instance hears who is present on the others, and nothing of itself", async (stores) => {
    const [ours, theirs] = [stores.ours.presence, stores.theirs.presence];
    assert(ours.hasOthers && theirs.hasOthers);
    const told = Promise.withResolvers<void>();
    const stop = stores.theirs.watch("room", (what) => what === "presence" && told.resolve());
    await ours.publish("room", bytes(3));
    await told.promise;
    assertEquals([...(await theirs.others("room")).values()], [bytes(3)]);
    assertEquals((await ours.others("room")).size, 0);
    assertEquals((await theirs.others("another")).size, 0);
    await ours.publish("room", null);
    assertEquals((await theirs.others("room")).size, 0);
    stop();
  });

  test("S26: an update is stored only while its premise holds, small or large", async ({ ours, theirs, change }) => {
    const key = ["premise"];
    const log = ours.log("room");
    await log.pull();
    for (const size of [1, MB]) {
      const absent = { key: [...key, size, "nothing"], versionstamp: null };
      await log.append(bytes(size), absent);
      const first = await change(key);
      await log.append(bytes(size + 1), first);
      const second = await change(key);
      await assertRejects(() => log.append(bytes(size + 2), first), PremiseError);
      await change(absent.key);
      await assertRejects(() => log.append(bytes(size + 2), absent), PremiseError);
      await theirs.log("room").append(bytes(size + 3));
      await assertRejects(() => log.append(bytes(size + 2), first), PremiseError);
      assertEquals(await log.append(bytes(size + 4), second), [bytes(size + 3)]);
    }
    const stored = (await theirs.log("room").pull()).map(({ length }) => length);
    assertEquals(stored, [1, 2, 4, 5, MB, MB + 1, MB + 3, MB + 4]);
  });
}

/** One byte per update, so that a set of numbers says what a log holds. A snapshot is such a set. */
type Step = { who: "ours" | "theirs"; does: "append" | "pull" | "compact"; wait: boolean };

const step: fc.Arbitrary<Step> = fc.record({
  who: fc.constantFrom("ours", "theirs"),
  does: fc.constantFrom("append", "append", "append", "pull", "compact"),
  wait: fc.boolean(),
});

/** Two instances at one room, sometimes waiting for a step and sometimes not. */
async function interleave(stores: TwoInstances, room: string, steps: Step[]): Promise<void> {
  const instance = (store: RoomStore) => ({
    log: store.log(room),
    seen: new Set<number>(),
    unread: 0,
  });
  const instances = { ours: instance(stores.ours), theirs: instance(stores.theirs) };
  const appended = new Set<number>();
  const underWay: Promise<void>[] = [];
  for (const [n, { who, does, wait }] of steps.entries()) {
    const it = instances[who];
    const read = async (updates: Promise<Uint8Array[]>, ...own: number[]) => {
      it.unread++;
      for (const update of await updates) own.push(...update);
      own.forEach((seen) => it.seen.add(seen));
      it.unread--;
    };
    const doing = (async () => {
      if (does === "pull") return await read(it.log.pull());
      if (does === "append") {
        await read(it.log.append(new Uint8Array([n])), n);
        appended.add(n);
      } else if (it.unread === 0) {
        // A snapshot holds what its maker has seen, as a room's document does.
        await it.log.compact(new Uint8Array(it.seen));
      }
    })();
    underWay.push(doing);
    if (wait) await doing;
  }
  await Promise.all(underWay);
  assertEquals(await contents(stores.ours.log(room)), appended);
}

async function contents(log: RoomLog): Promise<Set<number>> {
  return new Set((await log.pull()).flatMap((update) => [...update]));
}

/** So many bytes, told apart from those of any other count. */
function bytes(count: number): Uint8Array {
  return Uint8Array.from({ length: count }, (_, n) => (n * 31 + count) % 251);
}
