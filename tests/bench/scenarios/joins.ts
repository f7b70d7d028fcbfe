import * as decoding from "lib0/decoding";
import * as Y from "yjs";
import type { Running } from "../contenders/contender.ts";
import { pause, until } from "../pause.ts";
import { summarize } from "../stats.ts";
import { replay } from "../trace.ts";
import { EMPTY_STEP_2, step1, STEP_1, SYNC, update } from "../wire/messages.ts";
import { RawSocket } from "../wire/raw_socket.ts";
import type { Form, Scenario } from "./scenario.ts";

const ROOM = "automerge-paper";
const COLD: Record<Form, number> = { short: 3, long: 10 };
const WARM: Record<Form, number> = { short: 20, long: 100 };

/** In ms. */
const PATIENCE = 20_000;
/** y-leveldb and hocuspocus store after they have answered: they get so long, in ms. */
const UNTIL_STORED = 3_000;

/** What is measured is a room that has to be read, and not a process that is still starting. In ms. */
const UNTIL_SETTLED = 1_500;

/** From opening a socket to having all of a real paper, with a document like every client's. */
export const joins: Scenario = {
  name: "joins",
  about:
    "the automerge-paper document: a join after a restart (cold), and with others there (warm)",
  isShort: false,
  headline: { metric: "warm join ms", better: "less" },
  suits: ({ syncs }) => syncs,
  async run({ form, contender, start }) {
    const { doc, endContent } = await replay("automerge-paper");
    let server = await start();
    const writer = await upload(server, doc, endContent);
    const [warm, cold]: number[][] = [[], []];
    for (let n = 0; n < WARM[form]; n++) warm!.push(await join(server, endContent));
    writer.close();
    for (let n = 0; n < COLD[form] && contender.durable; n++) {
      await server.process.stop();
      server = await start();
      await pause(UNTIL_SETTLED);
      cold!.push(await join(server, endContent));
    }
    return {
      "warm join ms": summarize(warm!).median,
      ...contender.durable && { "cold join ms": summarize(cold!).median },
      "RSS MB": await server.process.residentBytes() / 1e6,
    };
  },
};

/** A client with a document. */
async function open(server: Running, doc: Y.Doc): Promise<RawSocket> {
  const { dialect } = server;
  const socket = await RawSocket.open(server.address(ROOM));
  const send = (message: Uint8Array) => socket.send(dialect.wrap(ROOM, message));
  socket.onMessage = (frame) => {
    const decoder = decoding.createDecoder(dialect.unwrap(frame));
    const type = decoding.readVarUint(decoder);
    if (type !== SYNC && type !== 4) return; // 4 is hocuspocus's own answer
    const step = decoding.readVarUint(decoder);
    const bytes = decoding.readVarUint8Array(decoder);
    if (step === STEP_1) send(EMPTY_STEP_2);
    else Y.applyUpdate(doc, bytes);
  };
  for (const frame of dialect.hello(ROOM)) socket.send(frame);
  send(step1(new Map()));
  socket.listen();
  return socket;
}

async function upload(server: Running, doc: Y.Doc, endContent: string): Promise<RawSocket> {
  const writer = await open(server, new Y.Doc());
  writer.send(server.dialect.wrap(ROOM, update(Y.encodeStateAsUpdate(doc))));
  await pause(UNTIL_STORED);
  await join(server, endContent);
  return writer;
}

/** Returns how long it took, in ms. */
async function join(server: Running, endContent: string): Promise<number> {
  const doc = new Y.Doc();
  const text = doc.getText("text");
  const { promise: complete, resolve } = Promise.withResolvers<void>();
  doc.on("update", () => text.length === endContent.length && resolve());
  const started = performance.now();
  const socket = await open(server, doc);
  await Promise.race([
    complete,
    until(() => text.length === endContent.length, PATIENCE, () => "the paper did not come"),
  ]);
  const took = performance.now() - started;
  socket.close();
  if (text.toString() !== endContent) throw new Error("it is not the paper that came");
  return took;
}
