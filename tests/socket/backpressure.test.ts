import { assertEquals } from "@std/assert";
import { ALICE } from "../http/service.ts";
import { settle } from "../sync/world.ts";
import { crowd } from "./crowd.ts";

const PROBE = new Uint8Array([102]);

Deno.test("TR5: a peer that has over 2 MiB to take is not read from until it has taken them", async () => {
  for (const [bytes, isPaused] of [[2, false], [2 + 1e-6, true]] as const) {
    const { open } = crowd();
    const socket = open(ALICE, 0, 0);
    socket.send = () => socket.buffered = Math.ceil(bytes * 1024 * 1024);
    socket.events.message(PROBE);
    await settle();
    assertEquals([socket.buffered > 0, socket.isPaused], [true, isPaused]);
    socket.buffered = 0;
    socket.events.drained();
    assertEquals(socket.isPaused, false);
  }
});

Deno.test("TR5: a peer that takes nothing is closed with 1013, and freed a second later", () => {
  const { open, clock, connections } = crowd();
  const [stuck, slow] = [open(ALICE, 0, 0), open(ALICE, 0, 0)];
  for (const socket of [stuck, slow]) {
    socket.events.arrived(1, 1);
    socket.events.message(PROBE);
    socket.buffered = 1_000_000;
  }
  for (let n = 0; n < 24; n++) {
    clock.advance(5_000);
    slow.buffered--;
  }
  assertEquals([stuck.code, slow.code], [0, 0]);
  clock.advance(10_000);
  assertEquals([stuck.code, slow.code], [1013, 0]);
  clock.advance(1_000);
  assertEquals([stuck.isTerminated, connections.size], [true, 1]);
});
