/** What users of other sync servers suffered from, tried on this one with real clients and real processes. */
import { assert, assertEquals } from "@std/assert";
import type * as Y from "yjs";
import { devToken } from "../../src/client/mod.ts";
import { Window } from "../client/app.ts";
import { freePort } from "../free_port.ts";
import { ALICE, BOB, DEV_TOKEN, getTicket, StockClient } from "../outside/clients.ts";
import { ServerProcess } from "../outside/server_process.ts";
import { until } from "../until.ts";
import { Cable } from "./cable.ts";

/** A service at one address, with one store, that can be stopped and started. */
async function startTown(env: Record<string, string> = {}) {
  const folder = await Deno.makeTempDir();
  const port = freePort();
  const start = () =>
    ServerProcess.start({
      PORT: String(port),
      KV_PATH: `${folder}/kv.sqlite3`,
      UNSAFE_DEV_TOKEN: DEV_TOKEN,
      ...env,
    });
  const town = {
    server: await start(),
    port,
    /** A window of the app, by way of `endpoint` if that is not the service itself. */
    open: (did: string, options: { endpoint?: string; doc?: Y.Doc } = {}) => {
      const { endpoint = town.server.url, doc } = options;
      return new Window(endpoint, "notes", did, { getTicket: devToken(DEV_TOKEN, did), doc });
    },
    restart: async (signal: Deno.Signal = "SIGTERM") => {
      const code = await town.server.stop(signal);
      if (signal === "SIGTERM") assertEquals(code, 0);
      town.server = await start();
    },
    async [Symbol.asyncDispose]() {
      await town.server[Symbol.asyncDispose]();
      await Deno.remove(folder, { recursive: true });
    },
  };
  return town;
}

/** The text of the room as somebody reads it who has never been there. */
async function freshText(town: { open(did: string): Window }): Promise<string> {
  using tab = await town.open("did:web:carol.example").online();
  return tab.text.toString();
}

/** Somebody tries whether it works again: or the waits, which grow, would make this a long test. */
function lookAgain({ provider }: Window): void {
  if (provider.status === "online") return;
  provider.disconnect();
  provider.connect();
}

/** Writes some megabytes into the room, in insertions of 5 KB. */
async function fill(town: { open(did: string): Window }, megabytes: number): Promise<string> {
  using tab = await town.open(ALICE).online();
  for (let n = 0; n < megabytes * 200; n++) {
    tab.text.insert(0, `${String(n).padStart(8, "0")} ${"x".repeat(4_990)}\n`);
    // As somebody pastes it, one after the other: less than one may say in a second.
    if (n % 100 === 99) await tab.provider.saved();
  }
  await tab.provider.saved();
  return tab.text.toString();
}

Deno.test("O30: load races: whoever comes while a room is being loaded, or let go, gets all of it", async () => {
  await using town = await startTown();
  const text = await fill(town, 3);
  await town.restart();
  const clients = await Promise.all(Array.from({ length: 40 }, async (_, n) => {
    const ticket = await getTicket(town.server.url, `did:web:reader${n}.example`, "notes");
    const client = new StockClient(`${town.server.socketUrl}/sync`, "notes", { ticket });
    await client.synced();
    return { client, length: client.text.length };
  }));
  assertEquals(clients.filter(({ length }) => length !== text.length), []);
  for (const { client } of clients) client[Symbol.dispose]();

  for (let round = 0; round < 30; round++) {
    using tab = town.open(ALICE);
    await tab.online();
    assertEquals(tab.text.length, text.length + round);
    tab.text.insert(0, "y");
    await tab.provider.saved();
  }
});

Deno.test("O31: silent non-sync: over a line that is cut forty times, what is called saved is saved", async () => {
  await using town = await startTown();
  using cable = new Cable(town.port);
  const endpoint = `http://localhost:${cable.port}`;
  using alice = await town.open(ALICE, { endpoint }).online();
  using bob = await town.open(BOB, { endpoint }).online();
  let written = 0;
  const saved = new Set<number>();
  const write = ({ text, provider }: Window) => {
    const word = written++;
    text.insert(
      Math.floor(Math.random() * text.length / 8) * 8,
      `${String(word).padStart(7, "0")} `,
    );
    provider.saved().then(() => saved.add(word), () => {});
  };
  for (let cut = 0; cut < 40; cut++) {
    for (let n = Math.random() * 20; n > 0; n--) {
      write(Math.random() < 0.5 ? alice : bob);
      if (Math.random() < 0.3) await new Promise((resolve) => setTimeout(resolve, 0));
    }
    if (cut % 4 === 0) await Promise.race([alice.provider.saved(), bob.provider.saved()]);
    cable.cut();
    const soFar = [...saved];
    if (cut % 10 === 5) {
      // What was called saved by now is there, whatever the clients still hold.
      const text = await freshText(town);
      assertEquals(soFar.filter((word) => !text.includes(String(word).padStart(7, "0"))), []);
    }
    cable.mend();
    for (const tab of [alice, bob]) lookAgain(tab);
  }
  await Promise.all([alice.provider.saved(), bob.provider.saved()]);
  const text = await freshText(town);
  const words = text.trim().split(" ").toSorted();
  assertEquals(words, Array.from({ length: written }, (_, n) => String(n).padStart(7, "0")));
  await Promise.all([alice.reads(text), bob.reads(text)]);
});

Deno.test("O32: loss at shutdown: what is typed while the service stops, or is killed, is there afterwards", async () => {
  await using town = await startTown();
  using alice = await town.open(ALICE).online();
  let expected = "";
  for (let round = 0; round < 8; round++) {
    const stopped = town.restart(round % 2 === 0 ? "SIGTERM" : "SIGKILL");
    let isOver = false;
    stopped.then(() => isOver = true);
    for (let n = 0; !isOver || n < 20; n++) {
      const word = `${round}.${n} `;
      alice.text.insert(alice.text.length, word);
      expected += word;
      await new Promise((resolve) => setTimeout(resolve, 5)); // a fast typist
    }
    await stopped;
    lookAgain(alice);
    await alice.provider.saved();
    await town.restart("SIGKILL");
    assertEquals(await freshText(town), expected);
  }
});

Deno.test("O33: ghosts: whoever comes back by another line, thirty times, is there once", async () => {
  await using town = await startTown();
  using bob = await town.open(BOB).online();
  for (let round = 0; round < 30; round++) {
    using cable = new Cable(town.port);
    using alice = await town.open(ALICE, { endpoint: `http://localhost:${cable.port}` }).online();
    alice.provider.awareness.setLocalState({ round });
    await bob.until("peers", ({ peers }) => peers.some(({ state }) => state.round === round));
    await bob.until("peers", ({ peers }) => peers.length === 1);
    if (round % 3 === 0) alice.provider.disconnect(); // with a word; otherwise her line just ends
  }
  await bob.until("peers", ({ peers }) => peers.length === 0);
});

Deno.test("O34: duplication: an app that fills an empty document fills it once, over all restarts", async () => {
  await using town = await startTown();
  const seed = "A new document\n";
  for (let round = 0; round < 5; round++) {
    using tab = await town.open(ALICE).online();
    if (tab.text.length === 0) tab.text.insert(0, seed);
    await tab.provider.saved();
    using kept = await town.open(BOB).online(); // stays open over the restart
    await town.restart(round % 2 === 0 ? "SIGTERM" : "SIGKILL");
    lookAgain(kept);
    await kept.online();
    assertEquals(kept.text.toString(), seed);
  }
});

Deno.test("O35: a big first sync: 8 MB over a line that takes 40 s for them come through at the first attempt", async () => {
  await using town = await startTown();
  const text = await fill(town, 8);
  using cable = new Cable(town.port, { bytesPerSecond: 200_000 });
  const ticket = await getTicket(town.server.url, BOB, "notes");
  using client = new StockClient(`ws://localhost:${cable.port}/sync`, "notes", { ticket });
  let ended = 0;
  client.provider.on("connection-close", () => ended++);
  const begun = performance.now();
  await client.synced();
  assertEquals([client.text.length, ended], [text.length, 0]);
  // Longer than y-websocket waits for a message: without pieces it would have given up in between.
  assert(performance.now() - begun > 30_000);
  client.text.insert(0, "Bob has read it.");
  using alice = await town.open(ALICE).online();
  await until(() => alice.text.toString().startsWith("Bob has read it."));
});

Deno.test("O38: what was written offline comes up over a slow line, of which it takes 40 s, at the first attempt", async () => {
  await using town = await startTown();
  using cable = new Cable(town.port, { bytesPerSecond: 150_000 });
  using alice = town.open(ALICE, { endpoint: `http://localhost:${cable.port}` });
  alice.provider.disconnect();
  for (let n = 0; n < 1_200; n++) alice.text.insert(0, `${n} ${"x".repeat(4_990)}\n`);
  const said: string[] = [];
  alice.provider.addEventListener("status", () => said.push(alice.provider.status));
  alice.provider.addEventListener("error", () => said.push(alice.provider.error!.message));
  const begun = performance.now();
  alice.provider.connect();
  await alice.provider.saved();
  // Longer than half a minute, in which no answer to a ping gets past it.
  assert(performance.now() - begun > 35_000);
  assertEquals(said, ["connecting", "online"]);
  assertEquals((await freshText(town)).length, alice.text.length);
});

Deno.test("J18: 60 MB that were written offline are saved at the first attempt", async () => {
  await using town = await startTown();
  using alice = town.open(ALICE);
  alice.provider.disconnect();
  for (let n = 0; n < 60; n++) alice.text.insert(0, `${n} ${"x".repeat(999_990)}\n`);
  const said: string[] = [];
  alice.provider.addEventListener("error", () => said.push(alice.provider.error!.message));
  alice.provider.connect();
  await alice.provider.saved();
  assertEquals(said, []);
  assertEquals((await freshText(town)).length, alice.text.length);
});

Deno.test("J18: over 1 Mbit/s, six times what a message may have is saved at the first attempt", async () => {
  await using town = await startTown({ MAX_MESSAGE: "256KiB" });
  using cable = new Cable(town.port, { bytesPerSecond: 125_000 });
  using alice = town.open(ALICE, { endpoint: `http://localhost:${cable.port}` });
  alice.provider.disconnect();
  alice.text.insert(0, "offline ".repeat(1_500_000 / 8));
  const said: string[] = [];
  alice.provider.addEventListener("error", () => said.push(alice.provider.error!.message));
  alice.provider.connect();
  await alice.provider.saved();
  assertEquals(said, []);
  assertEquals((await freshText(town)).length, alice.text.length);
});
