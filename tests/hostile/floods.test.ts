/** Much in little time: what honest clients also do now and then. */
import { assertEquals } from "@std/assert";
import { FIRST_WRITER, keystroke, step1 } from "../bench/wire/messages.ts";
import { readSpans } from "../bench/wire/spans.ts";
import { dose, MALLORY, OWN, Target, within } from "./target.ts";
import { PROBE } from "./wire.ts";

Deno.test("HP22: many small updates at once are taken as fast as allowed, and none is lost", async () => {
  await using target = await Target.start();
  assertEquals((await target.call("getTicket", MALLORY, { room: OWN })).status, 200);
  const count = dose(14_000, 40_000);
  let outcome = "";
  let stored = 0;
  await target.withstands(`HP22 (C6), ${count} updates at once`, async () => {
    using writer = await target.open(MALLORY, OWN);
    const acknowledged = Promise.withResolvers<string>();
    writer.onMessage = ([type]) => type === PROBE[0] && acknowledged.resolve("acknowledged");
    const ended = writer.listen().then(({ code }) => `closed with ${code}`);
    const updates = Array.from({ length: count }, (_, n) => keystroke(FIRST_WRITER, n));
    writer.send(...updates, PROBE);
    outcome = await within(60_000, Promise.race([acknowledged.promise, ended]), "no answer");
    using line = await target.open(MALLORY, OWN);
    const synced = Promise.withResolvers<void>();
    line.onMessage = (message) => {
      if (message[0] !== 0 || message[1] === 0) return;
      readSpans(payloadOf(message), (_writer, from, to) => stored += to - from);
      if (message[1] === 1) synced.resolve();
    };
    line.listen();
    await line.send(step1(new Map()));
    await within(10_000, synced.promise, null);
    return `${outcome}, ${stored} stored`;
  });
  assertEquals([outcome, stored], ["acknowledged", count]);
});

/** The update in a sync message: after its length, a varint. */
function payloadOf(message: Uint8Array): Uint8Array {
  let at = 2;
  while (message[at]! >= 128) at++;
  return message.subarray(at + 1);
}
