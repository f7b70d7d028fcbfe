import { assertEquals, assertRejects } from "@std/assert";
import * as Y from "yjs";
import { BackupError, exportRooms, importRooms } from "../src/cli/backup.ts";
import { MemoryStore } from "./sync/memory_store.ts";

/** A document with what documents have: text, what was deleted of it, and a map. */
function document(seed: string): Uint8Array {
  const doc = new Y.Doc();
  doc.getText("text").insert(0, `hello ${seed}`.repeat(100));
  doc.getText("text").delete(3, 50);
  doc.getMap("map").set(seed, [1, { two: true }]);
  return Y.encodeStateAsUpdate(doc);
}

async function stored(store: MemoryStore, room: string): Promise<Uint8Array> {
  const doc = new Y.Doc();
  for (const update of await store.log(room).pull()) Y.applyUpdate(doc, update);
  return Y.encodeStateAsUpdate(doc);
}

Deno.test("B1: a round trip is exact, whatever the rooms are called, and twice is as good as once", async () => {
  const names = ["notes", "Notes", "at://did:plc:x/y/z", "..", "🎉", "ä".repeat(256)];
  const [from, to] = [new MemoryStore(), new MemoryStore()];
  for (const name of names) await from.log(name).append(document(name));
  const folder = await Deno.makeTempDir();
  const exported = await Array.fromAsync(exportRooms(from, from.rooms(), folder, 0));
  assertEquals(exported.filter(({ error }) => error), []);
  for (let round = 0; round < 2; round++) {
    const imported = await Array.fromAsync(importRooms(to, folder));
    assertEquals(imported.map(({ error }) => error).filter(Boolean), []);
  }
  for (const name of names) assertEquals(await stored(to, name), await stored(from, name), name);
  assertEquals(to.appended.length, names.length, "what was there was stored again");
  await assertRejects(
    () => Array.fromAsync(exportRooms(from, names, folder, 0)),
    BackupError,
    "already",
  );
  await Deno.remove(folder, { recursive: true });
});

Deno.test("B2: a file that is not what was exported is not imported, and the others are", async () => {
  const [from, to] = [new MemoryStore(), new MemoryStore()];
  for (const name of ["good", "bad"]) await from.log(name).append(document(name));
  const folder = await Deno.makeTempDir();
  await Array.fromAsync(exportRooms(from, ["good", "bad"], folder, 0));
  const { rooms } = JSON.parse(await Deno.readTextFile(`${folder}/manifest.json`));
  const path = `${folder}/${rooms.find(({ name }: { name: string }) => name === "bad").file}`;
  const bytes = await Deno.readFile(path);
  bytes[20]! ^= 1;
  await Deno.writeFile(path, bytes);
  const outcomes = await Array.fromAsync(importRooms(to, folder));
  assertEquals(outcomes.filter(({ error }) => error).map(({ room }) => room), ["bad"]);
  assertEquals(await Array.fromAsync(to.rooms()), ["good"]);
  await Deno.remove(folder, { recursive: true });
});
