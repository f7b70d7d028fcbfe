/** What makes the server remember more than it was sent. */
import { assertEquals } from "@std/assert";
import * as encoding from "lib0/encoding";
import { step1 } from "../bench/wire/messages.ts";
import { awarenessFrame, syncFrame } from "../sync/test_peer.ts";
import { handshake, RawLine } from "./raw_line.ts";
import { dose, MALLORY, OWN, SQUARE, Target, testLong, within } from "./target.ts";
import { bytesOf, concat, MiB, Opcode, PROBE, repeated, wsFrame } from "./wire.ts";

/** Deletions of the first struct of so many clients, from this one on. */
function deletions(first: number, clients: number): Uint8Array {
  return syncFrame(
    2,
    encoding.encode((encoder) => {
      for (const each of [0, clients]) encoding.writeVarUint(encoder, each);
      for (let n = 0; n < clients; n++) {
        for (const each of [first + n, 1, 0, 1]) encoding.writeVarUint(encoder, each);
      }
    }),
  );
}

/** The type of the message that says that a write was denied. */
const AUTH = 2;

const EMPTY_STEP_2 = syncFrame(1, Uint8Array.of(0, 0));

Deno.test("HP6: deletions of what nobody knows are remembered up to a limit, and step 2 costs what it weighs", async () => {
  await using target = await Target.start();
  assertEquals((await target.call("getTicket", MALLORY, { room: OWN })).status, 200);
  const [sockets, clients, steps] = dose([2, 120_000, 200], [4, 800_000, 1_000]);
  // In one frame, and in frames that are each within the limits.
  for (const frames of [1, clients / 40_000]) {
    const each = clients / frames;
    const sent = Array.from(
      { length: frames },
      (_, n) => wsFrame(deletions(2_000_000 + n * each, each)),
    );
    const questions = repeated(wsFrame(EMPTY_STEP_2), steps);
    const name = `HP6 (A6), ${sockets} x ${frames} x ${each} unknown clients, then ${steps} step 2`;
    await target.withstands(name, async () => {
      const lines = await Promise.all(
        Array.from({ length: sockets }, (_, n) => target.open(MALLORY, n % 2 === 0 ? SQUARE : OWN)),
      );
      const codes = await Promise.all(lines.map(async (line) => {
        const ended = line.listen();
        for (const frame of sent) await line.flood(frame, 1, 10_000);
        await line.flood(questions, 1, 10_000);
        return (await within(500, ended, { code: 0 })).code;
      }));
      lines.forEach((line) => line.close());
      return `closed with ${codes}`;
    });
  }
});

/** One collected struct of each of so many clients, from this one on. */
function newClients(first: number, clients: number): Uint8Array {
  return syncFrame(
    2,
    encoding.encode((encoder) => {
      encoding.writeVarUint(encoder, clients);
      for (let n = 0; n < clients; n++) {
        for (const each of [1, first + n, 0, 0, 1]) encoding.writeVarUint(encoder, each);
      }
      encoding.writeVarUint(encoder, 0);
    }),
  );
}

Deno.test("HP7: a document takes clients up to MAX_CLIENTS, and no more", async () => {
  await using target = await Target.start();
  assertEquals((await target.call("getTicket", MALLORY, { room: OWN })).status, 200);
  const updates = dose(4, 10);
  const CLIENTS = 30_000;
  const sent = Array.from(
    { length: updates },
    (_, n) => newClients(2 ** 28 + n * CLIENTS, CLIENTS),
  );
  await target.withstands(`HP7 (A7), ${updates} updates of ${CLIENTS} new clients`, async () => {
    using line = await target.open(MALLORY, OWN);
    return await outcomeOf(line, sent);
  });
});

/** Sends these and a probe. Returns how the server took it, in words. */
async function outcomeOf(line: RawLine, messages: Uint8Array[]): Promise<string> {
  const taken = Promise.withResolvers<string>();
  line.onMessage = ([type]) => {
    if (type === AUTH) taken.resolve("denied");
    if (type === PROBE[0]) taken.resolve("acknowledged");
  };
  const ended = line.listen().then(({ code, reason }) => `closed with ${code}: ${reason}`);
  await line.send(...messages, PROBE);
  const first = Promise.race([ended, taken.promise]);
  return await within(dose(5_000, 30_000), first, "not acknowledged");
}

/** Structs of one client whose bytes are few, and whose objects in memory are large. */
const DENSE: Record<string, (encoded: { clock: number; client: number }) => number[] | Uint8Array> =
  {
    "embeds": ({ clock, client }) =>
      clock === 0
        ? bytesOf([5, 1, 1, 0x74, 1, 0x31])
        : bytesOf([0x85], client, clock - 1, [1, 0x31]),
    "arrays": ({ clock, client }) =>
      clock === 0 ? bytesOf([7, 1, 1, 0x74, 0]) : bytesOf([0x87], client, clock - 1, [0]),
    "root types": ({ clock }) => {
      const name = new TextEncoder().encode(clock.toString(36));
      return bytesOf([4, 1], name.length, name, [1, 0x78]);
    },
    "subdocuments": ({ clock, client }) =>
      clock === 0
        ? bytesOf([9, 1, 1, 0x74, 1, 0x67, 118, 0])
        : bytesOf([0x89], client, clock - 1, [1, 0x67, 118, 0]),
    "map entries": ({ clock }) => bytesOf([0x28, 1, 1, 0x6d, 1, 0x6b, 1, 127 - (clock % 2)]),
  };

function denseUpdate(kind: string, structs: number): Uint8Array {
  const client = 7;
  const encoded = Array.from(
    { length: structs },
    (_, clock) => Uint8Array.from(DENSE[kind]!({ clock, client })),
  );
  return syncFrame(2, concat([bytesOf(1, structs, client, 0), ...encoded, bytesOf(0)]));
}

testLong(
  "HP29: a document takes no more memory than its limits say, whatever it is made of",
  async () => {
    for (const kind of dose(["arrays", "root types"], Object.keys(DENSE))) {
      await using target = await Target.start();
      assertEquals((await target.call("getTicket", MALLORY, { room: OWN })).status, 200);
      const structs = dose(60_000, 300_000);
      const update = denseUpdate(kind, structs);
      const name = `HP29, ${structs} ${kind} in ${(update.length / MiB).toFixed(1)} MB`;
      await target.withstands(name, async () => {
        using line = await target.open(MALLORY, OWN);
        return await outcomeOf(line, [update]);
      });
    }
  },
);

testLong(
  "HP34: messages that never end are kept for no more than a few of an account's sockets",
  async () => {
    await using target = await Target.start();
    const sockets = dose(40, 190);
    // The beginning of an update of 7 MB, in one frame and in fragments.
    const begun = [
      concat([
        wsFrame(new Uint8Array(0), { claims: BigInt(7 * MiB) }),
        new Uint8Array(7 * MiB - 10),
      ]),
      concat([
        wsFrame(new Uint8Array(MiB), { isFinal: false }),
        repeated(wsFrame(new Uint8Array(MiB), { opcode: Opcode.CONTINUATION, isFinal: false }), 6),
      ]),
    ];
    const name = `HP34, ${sockets} x 7 MB of a message that does not end`;
    const lines = await Promise.all(Array.from({ length: sockets }, () => target.open()));
    await target.withstands(name, async () => {
      await Promise.all(lines.map((line, n) => line.flood(begun[n % 2]!, 1, dose(2_000, 5_000))));
      const bytes = lines.reduce((sum, { written }) => sum + written, 0);
      return `${(bytes / MiB).toFixed(0)} MB sent`;
    });
    lines.forEach((line) => line.close());
  },
);

testLong("HP35: wherever a client leaves, its place is free, and the room forgets it", async () => {
  const most = 150;
  await using target = await Target.start({
    METRICS_PORT: "0",
    MAX_CONNECTIONS_PER_DID: String(most),
    CALLS_PER_DID: "1000000",
  });
  const port = /metrics are at port (\d+)/.exec(target.server.log.join("\n"))![1];
  const open = async () => {
    const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    return Number(/^tessera_connections (\d+)$/m.exec(text)![1]);
  };
  let before = -1;
  const presence = awarenessFrame(bytesOf(1, 77, 1, 2, [0x7b, 0x7d]));
  const bytes = concat([
    handshake(target.door()),
    ...[step1(new Map()), presence, PROBE, deletions(5, 3)].map((message) => wsFrame(message)),
    wsFrame(Uint8Array.of(0x03, 0xe8), { opcode: Opcode.CLOSE }),
  ]);
  const rounds = dose(150, 600);
  let after = -1;
  await target.withstands(`HP35, ${rounds} clients that leave somewhere`, async () => {
    before = await open();
    for (let n = 0; n < rounds; n += 10) {
      await Promise.all(Array.from({ length: 10 }, async (_, m) => {
        const line = await RawLine.connect(target.url);
        await line.write(bytes.subarray(0, 1 + Math.floor(bytes.length * (n + m) / rounds)));
        // Some leave at once, some once they have been heard, and some only stop.
        if (m % 3 === 1) await within(300, line.readHead().catch(() => null), null);
        line.close();
      }));
    }
    for (let attempt = 0; attempt < 50 && after !== before; attempt++) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      after = await open();
    }
    return `${after} sockets are open, ${before} before`;
  }, { isWork: true });
  assertEquals(after, before);
});

testLong(
  "HP37: many rooms of one account that are all busy keep no other room waiting",
  async () => {
    await using target = await Target.start();
    const [rooms, structs] = dose([8, 10_000], [20, 20_000]);
    const update = denseUpdate("embeds", structs);
    const lines: RawLine[] = [];
    for (let n = 0; n < rooms; n++) {
      await target.call("getTicket", MALLORY, { room: `busy ${n}` });
      lines.push(await target.open(MALLORY, `busy ${n}`));
    }
    await target.withstands(`HP37, ${structs} embeds in each of ${rooms} rooms`, async () => {
      const outcomes = await Promise.all(lines.map((line) => outcomeOf(line, [update])));
      return `${
        outcomes.filter((outcome) => outcome.startsWith("acknowledged")).length
      } acknowledged`;
    });
    lines.forEach((line) => line.close());
  },
);
