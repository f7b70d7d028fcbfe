import * as Y from "yjs";
import type { Running } from "../contenders/contender.ts";
import { eachOf, pause, until } from "../pause.ts";
import { Client } from "../wire/client.ts";
import { FIRST_WRITER, step1, update } from "../wire/messages.ts";
import { RawSocket } from "../wire/raw_socket.ts";
import { type Scenario, whoSyncs } from "./scenario.ts";

const PARAGRAPH = "x".repeat(2_000);

/** In ms. */
const PATIENCE = 50_000;
/** In ms: who never reads is watched for so long. */
const WATCHED = 3_000;

const ROOM = "large";

/** A large document: what a crowd costs that comes to it at once, and one that asks for it and never reads. */
export function large(megabytes: number, crowd: number): Scenario {
  return {
    name: `large-${megabytes}MB`,
    about:
      `a document of ${megabytes} MB; ${crowd} clients join it at once, and then ${crowd} ask ` +
      "for it, each for another part, and never read",
    isShort: false,
    headline: { metric: "RSS MB, peak of joins", better: "less" },
    suits: whoSyncs,
    async run({ start }) {
      const server = await start();
      const length = await upload(server, megabytes);
      const numbers = Array.from({ length: crowd }, (_, n) => n);
      const before = await server.process.residentBytes();
      const started = performance.now();
      const joined = await peakOf(server, () =>
        eachOf(numbers, crowd, async () => {
          const client = await Client.join(server, ROOM);
          await until(() => client.has(FIRST_WRITER, length), PATIENCE, () =>
            client.fault ?? "it did not come");
          client.close();
        }));
      const took = performance.now() - started;
      const unread = await peakOf(server, async () => {
        await eachOf(numbers, crowd, async (n) => {
          const known = new Map([[FIRST_WRITER, n]]);
          const socket = await RawSocket.open(server.address(ROOM));
          for (const frame of server.dialect.hello(ROOM)) socket.send(frame);
          socket.send(server.dialect.wrap(ROOM, step1(known)));
        });
        await pause(WATCHED);
      });
      return {
        "all joined after ms": took,
        "RSS MB before": before / 1e6,
        "RSS MB, peak of joins": joined / 1e6,
        "RSS MB, peak of who never reads": unread / 1e6,
      };
    },
  };
}

/** Stores a text of so many megabytes, and returns its length. */
async function upload(server: Running, megabytes: number): Promise<number> {
  const doc = new Y.Doc();
  doc.clientID = FIRST_WRITER;
  const text = doc.getText("text");
  const reader = await Client.join(server, ROOM);
  const writer = await Client.join(server, ROOM);
  for (let n = 0; n < megabytes; n++) {
    const before = Y.encodeStateVector(doc);
    while (text.length < (n + 1) * 1e6) text.insert(0, PARAGRAPH); // each a struct of its own
    writer.send(update(Y.encodeStateAsUpdate(doc, before)));
  }
  await until(
    () => reader.has(FIRST_WRITER, text.length),
    PATIENCE,
    () => "the document did not come",
  );
  writer.close(); // the reader stays, or who keeps documents in memory forgets this one
  return text.length;
}

/** The most that a server occupies in memory while something goes on, in bytes. */
async function peakOf(server: Running, work: () => Promise<void>): Promise<number> {
  let [peak, working] = [0, true];
  const watching = (async () => {
    for (; working; await pause(20)) peak = Math.max(peak, await server.process.residentBytes());
  })();
  await work().finally(() => working = false);
  await watching;
  return peak;
}
