/** What goes below messages: fragments and control frames. */
import { assertEquals } from "@std/assert";
import { dose, Target, within } from "./target.ts";
import { MiB, Opcode, repeated, wsFrame } from "./wire.ts";

const NOT_CLOSED = { code: 0 };

Deno.test("HP2: endless fragments are cut with 1009 at MAX_MESSAGE, and cost no memory", async () => {
  await using target = await Target.start();
  const megabytes = dose(64, 300);
  const fragment = wsFrame(new Uint8Array(MiB), { opcode: Opcode.CONTINUATION, isFinal: false });
  let code = 0;
  await target.withstands(`HP2 (A2), ${megabytes} MB of fragments`, async () => {
    using line = await target.open();
    const ended = line.listen();
    await line.write(wsFrame(new Uint8Array(10), { isFinal: false }));
    await line.flood(fragment, megabytes, 20_000);
    ({ code } = await within(2_000, ended, NOT_CLOSED));
    return `${(line.written / MiB).toFixed(0)} MB sent, closed with ${code}`;
  });
  assertEquals(code, 1009);
});

Deno.test("HP2: neither tiny nor empty fragments of one message get past the limits", async () => {
  await using target = await Target.start();
  for (const size of [0, 1]) {
    const fragment = wsFrame(new Uint8Array(size), {
      opcode: Opcode.CONTINUATION,
      isFinal: false,
    });
    const count = dose(500_000, 4_000_000);
    const batch = repeated(fragment, 10_000);
    let end = 0;
    await target.withstands(`HP2, ${count} fragments of ${size} bytes`, async () => {
      using line = await target.open();
      const ended = line.listen();
      await line.write(wsFrame(new Uint8Array(1), { isFinal: false }));
      await line.flood(batch, count / 10_000, dose(3_000, 10_000));
      ({ code: end } = await within(100, ended, NOT_CLOSED));
      return `${(line.written / MiB).toFixed(1)} MB sent, closed with ${end}`;
    });
  }
});

for (const [name, opcode] of [["pongs", Opcode.PONG], ["pings", Opcode.PING]] as const) {
  const test = async () => {
    await using target = await Target.start();
    const frame = wsFrame(new Uint8Array(0), { opcode });
    const batch = repeated(frame, 10_000);
    const megabytes = dose(20, 200);
    await target.withstands(`HP3 (A3), ${megabytes} MB of ${name}`, async () => {
      using line = await target.open();
      const ended = line.listen();
      const count = Math.ceil(megabytes * MiB / batch.length);
      await line.flood(batch, count, dose(3_000, 10_000));
      const { code } = await within(100, ended, NOT_CLOSED);
      return `${(line.written / MiB).toFixed(1)} MB sent, closed with ${code}`;
    });
  };
  if (opcode === Opcode.PONG) {
    Deno.test("HP3: a flood of pongs, 6 bytes each, does not starve other rooms", test);
  } else {
    Deno.test("HP3: nor does a flood of pings, whose answers nobody reads", test);
  }
}
