import { assert, assertEquals, assertMatch } from "@std/assert";
import * as fc from "fast-check";
import * as Y from "yjs";
import { TesseraProvider } from "../../src/client/mod.ts";
import { DEFAULT_LIMITS } from "../../src/limits/limits.ts";
import { ALICE, BOB } from "../http/service.ts";
import { edit, meet, write } from "../sync/edits.ts";
import { startRealService, Window } from "./app.ts";
import { FakeWorld, settled, ticketFor } from "./fake_world.ts";

const MB = 1_000_000;
const [SYNC, STEP_2, UPDATE, PROBE] = [0, 1, 2, 102];

/** What is in a frame about the document. */
function updateIn(frame: Uint8Array): Uint8Array | null {
  if (frame[0] !== SYNC || frame[1] === 0) return null;
  let at = 2;
  while (frame[at]! & 0x80) at++;
  return frame.subarray(at + 1);
}

/** A provider in a world of its own, online with a service that has nothing. */
async function online(doc: Y.Doc) {
  const world = new FakeWorld();
  const getTicket = () => Promise.resolve(ticketFor("notes", 1));
  const options = { endpoint: "https://sync.example.com", getTicket };
  const provider = new TesseraProvider("notes", doc, options, world);
  /** Applies what comes, as the service does: no update is to wait for another. */
  const service = new Y.Doc();
  const hear = (frame: Uint8Array) => {
    const update = updateIn(frame);
    if (update !== null) Y.applyUpdate(service, update);
    assertEquals([service.store.pendingStructs, service.store.pendingDs], [null, null]);
  };
  const open = async () => {
    while (world.sockets.at(-1)?.readyState !== 0) await world.pass(500);
    const socket = world.sockets.at(-1)!;
    socket.onSent = hear;
    socket.open().sync();
    return socket;
  };
  return { world, provider, service, open, socket: await open() };
}

/** All that is still to be sent is sent. */
async function sent(
  { world, socket, provider }: Awaited<ReturnType<typeof online>>,
): Promise<void> {
  while (provider.hasUnsavedChanges && socket.sent.at(-1)?.[0] !== PROBE) await world.pass(50);
}

Deno.test("J18: what is large goes up in pieces that apply on their own, whatever was written", async () => {
  const long = fc.record({
    does: fc.constant("insert" as const),
    who: fc.nat(2),
    at: fc.nat(1_000),
    text: fc.integer({ min: 50_000, max: 250_000 }).map((length) => "😀 é".repeat(length / 5)),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(edit, { maxLength: 30 }),
      fc.array(long, { maxLength: 3 }),
      fc.array(edit, { maxLength: 30 }),
      async (before, large, after) => {
        const docs = write([...before, ...large, ...after]);
        const [doc, other] = docs as [Y.Doc, Y.Doc, Y.Doc];
        docs.forEach((peer) => meet(doc, peer));
        const it = await online(doc);
        await sent(it);
        // Then the same in one transaction, while it is online.
        doc.getText("more");
        Y.applyUpdate(other, Y.encodeStateAsUpdate(doc));
        other.getText("more").insert(0, "x".repeat(200_000));
        other.getText("text").delete(0, Math.floor(other.getText("text").length / 2));
        Y.applyUpdate(doc, Y.encodeStateAsUpdate(other));
        await it.world.pass(1_000);
        assertEquals(Y.encodeStateAsUpdate(it.service), Y.encodeStateAsUpdate(doc));
        const frames = it.socket.sent.filter((frame) => updateIn(frame) !== null);
        assertEquals(Math.max(...frames.map(({ length }) => length)) <= 200_000, true);
        assertEquals(frames.filter(([, kind]) => kind === STEP_2).length, 1);
        doc.destroy();
      },
    ),
    { numRuns: 20 },
  );
});

Deno.test("J18: it sends no faster than the service accepts, and adds nothing to a socket that is full", async () => {
  const doc = new Y.Doc();
  doc.getText("text").insert(0, "x".repeat(60 * MB));
  const it = await online(doc);
  await settled();
  const count = () => it.socket.sent.reduce((sum, { length }) => sum + length, 0);
  let last = count();
  for (let second = 0; it.socket.sent.at(-1)?.[0] !== PROBE; second++) {
    const { bytesPerSecond } = DEFAULT_LIMITS;
    assert(count() < bytesPerSecond * (16 + second), `${count()} bytes in ${second} s`);
    it.socket.bufferedAmount = second % 4 === 3 ? MB : 0;
    await it.world.pass(1_000);
    if (second % 4 === 3) assertEquals(count(), last);
    last = count();
  }
  assertEquals(it.service.getText("text").length, 60 * MB);
  assertEquals(it.provider.status, "online");

  // A script that makes one transaction of each row.
  const { length } = it.socket.sent;
  for (let row = 0; row < 40_000; row++) doc.getMap("rows").set(`${row}`, row);
  await it.world.pass(60_000);
  assert(it.socket.sent.length - length < 10_000, `${it.socket.sent.length - length} frames`);
  assertEquals(it.service.getMap("rows").size, 40_000);
  doc.destroy();
});

Deno.test("J18: more than a message may have, written offline or pasted, is saved, whatever the limit is", async () => {
  for (const messageBytes of [256 * 1024, 40 * 1024]) {
    await using it = await startRealService({ limits: { messageBytes } });
    const doc = new Y.Doc();
    doc.getText("text").insert(0, "offline ".repeat(MB / 8));
    using alice = new Window(it.endpoint, "notes", ALICE, { doc });
    await alice.provider.saved();
    alice.text.insert(0, "pasted ".repeat(MB / 7));
    await alice.provider.saved();
    using bob = await new Window(it.endpoint, "notes", BOB).online();
    assertEquals(bob.text.toString(), alice.text.toString());
  }
});

Deno.test("J19: a value that is too large is reported and holds up only what builds on it, until it is deleted", async () => {
  await using it = await startRealService({ limits: { messageBytes: 256 * 1024 } });
  const doc = new Y.Doc();
  doc.getText("text").insert(0, "before");
  using alice = new Window(it.endpoint, "notes", ALICE, { doc });
  await alice.provider.saved();
  const errors: string[] = [];
  alice.provider.addEventListener("error", () => errors.push(alice.provider.error!.name));
  doc.getMap("files").set("image", new Uint8Array(500_000));
  const why = await alice.provider.saved().catch((error) => error);
  assertEquals([why.name, alice.provider.hasUnsavedChanges], ["TooLarge", true]);
  assertMatch(why.message, /^A part of this document \(0\.5 MB\) is larger than .* accepts\./);
  await alice.online();
  assertEquals([alice.provider.status, alice.provider.error?.name], ["online", "TooLarge"]);

  // Others are heard, and so is what does not build on it.
  using bob = await new Window(it.endpoint, "notes", BOB).online();
  bob.text.insert(6, " and after");
  await alice.reads("before and after");
  const others = new Y.Doc();
  others.getText("text").insert(0, "and ");
  Y.applyUpdate(doc, Y.encodeStateAsUpdate(others), "another provider");
  while (bob.text.toString() !== alice.text.toString()) {
    await new Promise((resolve) => bob.provider.doc.once("update", resolve));
  }
  doc.getMap("files").delete("image");
  await alice.until("saved", ({ hasUnsavedChanges }) => !hasUnsavedChanges);
  assertEquals([alice.provider.error, errors], [null, ["Closed", "TooLarge"]]);
});

Deno.test("J18: a step 2 has what was acknowledged to nobody, though the service says that it has it", async () => {
  const doc = new Y.Doc();
  const it = await online(doc);
  doc.getText("text").insert(0, "acknowledged");
  await settled();
  it.socket.hear(...it.socket.sent.findLast(([type]) => type === PROBE)!);
  assertEquals(it.provider.hasUnsavedChanges, false);
  doc.getText("text").insert(12, ", not acknowledged");
  it.socket.end();
  const socket = await it.open();
  socket.hear(SYNC, 0, ...withLength(Y.encodeStateVector(doc)));
  const resent = socket.sent.findLast(([type, kind]) => type === SYNC && kind === STEP_2)!;
  const { structs } = Y.decodeUpdate(updateIn(resent)!);
  assertEquals(structs.map(({ id, length }) => [id.clock, length]), [[12, 18]]);
  assertEquals(socket.sent.some(([type, kind]) => type === SYNC && kind === UPDATE), false);
  doc.destroy();
});

function withLength(bytes: Uint8Array): number[] {
  return [bytes.length, ...bytes];
}
