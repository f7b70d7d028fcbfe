import * as Y from "yjs";
import type { Running } from "../contenders/contender.ts";
import { Crowd } from "../crowd.ts";
import { pause } from "../pause.ts";
import { step1, update } from "../wire/messages.ts";
import { RawSocket } from "../wire/raw_socket.ts";
import { type Scenario, whoSyncs } from "./scenario.ts";

/** From one keystroke to the next, in ms. */
const PERIOD = 5;

/** How long those who type are watched after each heavy update, in ms: no server takes longer for it. */
const WATCHED = 4_000;

/** Somebody sends updates that are hard work, and two people type in another room. */
export const heavy: Scenario = {
  name: "heavy",
  about: "two people type in one room, and the slowest of their keystrokes while somebody in " +
    "another pastes 300,000 structs, and clears and then removes a list of 30,000 maps",
  isShort: false,
  headline: { metric: "paste, slowest ms", better: "less" },
  suits: whoSyncs,
  async run({ start }) {
    const server = await start();
    const crowd = await Crowd.join(server, { rooms: 1, writers: 1, readers: 1 });
    const send = await senderTo(server, "heavy");
    const slowestAfter = async (bytes: Uint8Array) => {
      crowd.latency.clear();
      send(update(bytes));
      await type(crowd, WATCHED);
      return crowd.latency.percentile(1);
    };
    await type(crowd, 1_000);
    const { filled, cleared, removed } = listOfMaps(30_000);
    return {
      "paste, slowest ms": await slowestAfter(pasted(300_000)),
      "fill, slowest ms": await slowestAfter(filled),
      "clear, slowest ms": await slowestAfter(cleared),
      "remove, slowest ms": await slowestAfter(removed),
    };
  },
};

/** Joins a room; it fails what is measured when it is cut off, and does not read what it hears. */
async function senderTo(server: Running, room: string): Promise<(message: Uint8Array) => void> {
  const socket = await RawSocket.open(server.address(room));
  let lost: string | null = null;
  socket.onMessage = () => {};
  socket.onLost = (why) => lost = why;
  const send = (message: Uint8Array) => {
    if (lost !== null) throw new Error(`the sender was cut off: ${lost}`);
    socket.send(server.dialect.wrap(room, message));
  };
  for (const frame of server.dialect.hello(room)) socket.send(frame);
  send(step1(new Map()));
  return send;
}

async function type(crowd: Crowd, ms: number): Promise<void> {
  for (const end = performance.now() + ms; performance.now() < end; await pause(PERIOD)) {
    for (const writer of crowd.writers) writer.type();
  }
  await crowd.settle();
}

/** A text of so many pieces that none of them can be merged with another. */
function pasted(structs: number): Uint8Array {
  const doc = new Y.Doc();
  const text = doc.getText("text");
  doc.transact(() => {
    for (let n = 0; n < structs; n++) text.insert(n % 2 === 0 ? 0 : n, "x");
  });
  return Y.encodeStateAsUpdate(doc);
}

/** The updates in which a list is filled, cleared and removed. */
function listOfMaps(length: number) {
  const doc = new Y.Doc();
  const list = new Y.Array<Y.Map<unknown>>();
  const updates: Uint8Array[] = [];
  doc.on("update", (update: Uint8Array) => updates.push(update));
  doc.transact(() => {
    doc.getMap("map").set("list", list);
    for (let n = 0; n < length; n++) list.insert(0, [new Y.Map()]);
  });
  list.delete(0, length);
  doc.getMap("map").delete("list");
  const [filled, cleared, removed] = updates as [Uint8Array, Uint8Array, Uint8Array];
  return { filled, cleared, removed };
}
