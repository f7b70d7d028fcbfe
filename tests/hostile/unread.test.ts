/** Answers that nobody reads. */
import { assertEquals } from "@std/assert";
import { step1 } from "../bench/wire/messages.ts";
import { awarenessFrame, syncFrame } from "../sync/test_peer.ts";
import type { RawLine } from "./raw_line.ts";
import { dose, MALLORY, OWN, Target, testLong, within } from "./target.ts";
import { bytesOf, concat, KiB, MiB, PROBE, repeated, wsFrame } from "./wire.ts";

/** Fills the square with so many present clients, whose states are as large as they may be. */
async function crowd(target: Target, clients: number): Promise<RawLine[]> {
  const lines: RawLine[] = [];
  const state = new TextEncoder().encode(JSON.stringify({ name: "x".repeat(4_000) }));
  const PER_MESSAGE = 15; // of 4 KB, in a message of at most 64 KiB
  const PER_LINE = 2 * PER_MESSAGE;
  for (let first = 0; first < clients; first += PER_LINE) {
    const line = await target.open();
    lines.push(line);
    let seen = 0;
    const shown = Promise.withResolvers<void>();
    line.onMessage = (message) => {
      if (message[0] === 1) seen += message.length;
      if (seen >= state.length * Math.min(PER_LINE, clients - first)) shown.resolve();
    };
    line.listen();
    for (let n = first; n < Math.min(first + PER_LINE, clients); n += PER_MESSAGE) {
      const ids = Array.from({ length: PER_MESSAGE }, (_, m) => 1_000 + n + m);
      const entries = ids.map((id) => bytesOf(id, 1, state.length, state));
      await line.send(awarenessFrame(bytesOf(ids.length, ...entries)));
    }
    await within(5_000, shown.promise, null);
  }
  return lines;
}

Deno.test("HP4: who asks for presence and never reads is owed one answer, however often it asks", async () => {
  await using target = await Target.start();
  const lines = await crowd(target, 120);
  const queries = dose(3_000, 9_000);
  await target.withstands(`HP4 (A4), ${queries} queries, 120 present`, async () => {
    using line = await target.open();
    await line.flood(repeated(wsFrame(Uint8Array.of(3)), 500), queries / 500, 5_000);
    return `${(line.written / KiB).toFixed(0)} KB sent`;
  });
  for (const line of lines) line.close();
});

Deno.test("HP5: a probe over 64 KiB costs its sender the connection (1009)", async () => {
  await using target = await Target.start();
  const probe = (bytes: number) => wsFrame(concat([Uint8Array.of(102), new Uint8Array(bytes - 1)]));
  {
    using line = await target.open();
    const echoed = Promise.withResolvers<number>();
    line.onMessage = ({ 0: type, length }) => type === PROBE[0] && echoed.resolve(length);
    const ended = line.listen();
    await line.write(probe(64 * KiB));
    assertEquals(await within(5_000, echoed.promise, 0), 64 * KiB);
    await line.write(probe(64 * KiB + 1));
    assertEquals((await within(5_000, ended, { code: 0 })).code, 1009);
  }
  const [sockets, each] = dose([4, 4], [12, 8]);
  await target.withstands(`HP5 (A5), ${sockets} x ${each} probes of 8 MB, unread`, async () => {
    const lines = await Promise.all(Array.from({ length: sockets }, () => target.open()));
    await Promise.all(lines.map((line) => line.flood(probe(8 * MiB), each, dose(2_000, 10_000))));
    const bytes = lines.reduce((sum, { written }) => sum + written, 0);
    lines.forEach((line) => line.close());
    return `${(bytes / MiB).toFixed(0)} MB sent`;
  });
});

Deno.test("HP5: nor are the echoes of small probes queued for who never reads", async () => {
  await using target = await Target.start();
  const probe = wsFrame(concat([Uint8Array.of(102), new Uint8Array(60 * KiB)]));
  const [sockets, each] = dose([4, 600], [12, 1_000]);
  await target.withstands(`HP5, ${sockets} x ${each} probes of 60 KB, unread`, async () => {
    const lines = await Promise.all(Array.from({ length: sockets }, () => target.open()));
    await Promise.all(lines.map((line) => line.flood(probe, each, dose(2_000, 10_000))));
    const bytes = lines.reduce((sum, { written }) => sum + written, 0);
    lines.forEach((line) => line.close());
    return `${(bytes / MiB).toFixed(0)} MB sent`;
  });
});

testLong(
  "HP30: as many sockets as an account may have, none of which reads, in a busy room",
  async () => {
    await using target = await Target.start();
    assertEquals((await target.call("getTicket", MALLORY, { room: OWN })).status, 200);
    const sockets = dose(60, 190);
    const edits = dose(40, 80);
    const EDIT_BYTES = 64 * KiB;
    await target.withstands(
      `HP30, ${edits} edits of 64 KB to ${sockets} unread sockets`,
      async () => {
        const lines: RawLine[] = [];
        for (let n = 0; n < sockets; n++) {
          const line = await target.open(MALLORY, OWN);
          lines.push(line);
          await line.send(step1(new Map()));
        }
        const writer = await target.open(MALLORY, OWN);
        const acknowledged = Promise.withResolvers<string>();
        writer.onMessage = ([type]) => type === PROBE[0] && acknowledged.resolve("acknowledged");
        const ended = writer.listen().then(({ code }) => `closed with ${code}`);
        // Each is the first text of a root type of its own client, so that all are taken as they are.
        const text = new TextEncoder().encode("x".repeat(EDIT_BYTES));
        for (let n = 0; n < edits; n++) {
          const update = bytesOf(1, 1, 100 + n, 0, [4, 1, 1, 0x74], text.length, text, 0);
          await writer.send(syncFrame(2, update), presence(n));
        }
        await writer.send(PROBE);
        const outcome = await within(
          20_000,
          Promise.race([acknowledged.promise, ended]),
          "no answer",
        );
        for (const line of [writer, ...lines]) line.close();
        return outcome;
      },
    );
  },
);

/** Presence of 15 clients, whose states are as large as they may be. */
function presence(clock: number): Uint8Array {
  const state = new TextEncoder().encode(JSON.stringify({ name: "x".repeat(4_000) }));
  const entries = Array.from({ length: 15 }, (_, n) => bytesOf(n, clock, state.length, state));
  return awarenessFrame(bytesOf(entries.length, ...entries));
}

testLong(
  "HP33: who asks for the document again and again, and never reads, costs one answer",
  async () => {
    await using target = await Target.start();
    assertEquals((await target.call("getTicket", MALLORY, { room: OWN })).status, 200);
    {
      using writer = await target.open(MALLORY, OWN);
      const acknowledged = Promise.withResolvers<null>();
      writer.onMessage = ([type]) => type === PROBE[0] && acknowledged.resolve(null);
      writer.listen();
      const text = new TextEncoder().encode("x".repeat(5 * MiB));
      await writer.send(
        syncFrame(2, bytesOf(1, 1, 9, 0, [4, 1, 1, 0x74], text.length, text, 0)),
        PROBE,
      );
      await within(10_000, acknowledged.promise, null);
    }
    const [sockets, questions] = dose([4, 2_000], [12, 9_000]);
    // Each with another state vector, so that no answer serves two.
    const asked = concat(
      Array.from({ length: questions }, (_, n) => wsFrame(step1(new Map([[1_000 + n, n]])))),
    );
    await target.withstands(`HP33, ${sockets} x ${questions} step 1, 5 MB, unread`, async () => {
      const lines = await Promise.all(
        Array.from({ length: sockets }, () => target.open(MALLORY, OWN)),
      );
      await Promise.all(lines.map((line) => line.flood(asked, 1, 5_000)));
      lines.forEach((line) => line.close());
      return `${(asked.length / KiB).toFixed(0)} KB each`;
    });
  },
);

testLong(
  "HP36: presence that changes as fast as it can, for many who do not read it, starves nobody",
  async () => {
    await using target = await Target.start();
    const [sockets, senders, rounds] = dose([60, 6, 30], [190, 30, 100]);
    const lines = await Promise.all(Array.from({ length: sockets }, () => target.open()));
    const name = `HP36, ${senders} x ${rounds} x 60 KB of presence to ${sockets} unread sockets`;
    await target.withstands(name, async () => {
      for (let round = 1; round <= rounds; round++) {
        const said = wsFrame(presence(round));
        await Promise.all(lines.slice(0, senders).map((line) => line.flood(said, 1, 1_000)));
        await new Promise((resolve) => setTimeout(resolve, 30));
      }
      lines.forEach((line) => line.close());
      return "";
    });
  },
);
