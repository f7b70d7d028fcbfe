import { assertEquals } from "@std/assert";
import { Overload } from "../../src/limits/overload.ts";
import { Tally } from "../../src/observe/tally.ts";
import { FakeClock } from "../fake_clock.ts";
import { listen } from "../http/listen.ts";
import { ALICE, BOB } from "../http/service.ts";
import { crowd } from "../socket/crowd.ts";

Deno.test("N16: when memory is short, idle rooms go first, then the most expensive peer, one at a time", () => {
  const clock = new FakeClock();
  const tally = new Tally();
  const done: string[] = [];
  let [used, rooms, peers] = [0, 2, [5_000_000, 3_000_000]];
  const overload = new Overload({
    clock,
    tally,
    limits: { memoryBytes: 100, eventLoopLag: 1_000 },
    memory: () => used,
    evictIdleRooms: () => {
      if (rooms > 0) done.push(`${rooms} rooms`);
      const evicted = rooms;
      rooms = 0;
      return evicted;
    },
    endMostExpensive: () => {
      const cost = peers.shift() ?? 0;
      if (cost > 0) done.push(`a peer of ${cost}`);
      return cost;
    },
  });
  clock.advance(5_000);
  assertEquals(done, []);
  used = 101;
  clock.advance(500);
  assertEquals(done, ["2 rooms"]);
  clock.advance(500);
  assertEquals(done, ["2 rooms", "a peer of 5000000"]);
  used = 100;
  clock.advance(5_000);
  assertEquals(done.length, 2, "that was enough");
  used = 101;
  clock.advance(5_000);
  assertEquals(done.slice(2), ["a peer of 3000000"], "and nobody who costs little is closed");
  assertEquals([...tally.limits], [["memoryBytes", 3]]);
  overload.stop();
  assertEquals(clock.next, Infinity);
});

Deno.test("N16: of all peers the one goes that holds most, with 1013", () => {
  const { connections, open } = crowd();
  const sockets = [open(ALICE, 2e6, 0), open(BOB, 1.5e6, 1.5e6), open(ALICE, 0, 0)];
  assertEquals(connections.endMostExpensive(), 3e6);
  assertEquals(sockets.map(({ code }) => code), [0, 1013, 0]);
  assertEquals(connections.endMostExpensive(), 2e6);
  assertEquals(connections.endMostExpensive(), 0);
  assertEquals(sockets.map(({ code }) => code), [1013, 1013, 0]);
});

Deno.test("N17: while the event loop is late, new work is refused and who watches is answered", async () => {
  await using it = await listen();
  const ask = async (path: string) => {
    const { status, headers } = await it.call(path);
    return [status, headers.get("retry-after")];
  };
  await it.service.ready;
  const beLate = () => {
    it.clock.block(1_600);
    it.clock.advance(0);
  };
  beLate();
  assertEquals(await ask("/"), [200, null], "once is nothing");
  beLate();
  assertEquals(await ask("/"), [503, "5"]);
  assertEquals(await it.knock("/sync/notes", "authorization, x"), "503 TooBusy");
  for (const path of ["/livez", "/readyz", "/health"]) assertEquals(await ask(path), [200, null]);
  it.clock.advance(500);
  assertEquals(await ask("/"), [200, null]);
});
