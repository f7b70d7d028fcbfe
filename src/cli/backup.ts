import { createHash } from "node:crypto";
import { join } from "node:path";
import { z } from "zod";
import { Document } from "../sync/document.ts";
import { DamagedRoomError, type RoomLog, type RoomStore } from "../store/room_store.ts";

/**
 * What lies beside the rooms' files of an export. Each file is one plain Yjs update that holds the
 * whole document: `Y.applyUpdate(new Y.Doc(), bytes)` reads it, with nothing of ours.
 */
const manifest = z.object({
  format: z.literal("tessera-export"),
  version: z.literal(1),
  createdAt: z.iso.datetime(),
  rooms: z.array(z.object({
    name: z.string(),
    /** A file beside the manifest: an import reads no other folder. */
    file: z.string().regex(/^[0-9a-z]+\.yjs$/),
    bytes: z.int().nonnegative(),
    sha256: z.string(),
    /** Base64. */
    stateVector: z.base64(),
  })),
});

type Manifest = z.infer<typeof manifest>;
type ManifestRoom = Manifest["rooms"][number];

/** What became of one room. */
export interface Outcome {
  room: string;
  /** Bytes that were exported, or appended: 0 when the room has it all. */
  bytes: number;
  /** Why it could not be done; the other rooms are not affected. */
  error?: string;
}

/** A folder that cannot be exported to, or imported from. The message says why. */
export class BackupError extends Error {
  override readonly name = "BackupError";
}

const MANIFEST = "manifest.json";

/**
 * Writes rooms to a folder, a file a room, and tells what became of each. The manifest comes last: a
 * folder without one is no export. `now` is in ms since the Unix epoch.
 * @throws {BackupError} when the folder holds an export already.
 */
export async function* exportRooms(
  store: RoomStore,
  rooms: AsyncIterable<string> | Iterable<string>,
  folder: string,
  now: number,
): AsyncIterable<Outcome> {
  await Deno.mkdir(folder, { recursive: true });
  const path = join(folder, MANIFEST);
  if (await exists(path)) throw new BackupError(`there is an export in ${folder} already`);
  const written: ManifestRoom[] = [];
  for await (const room of rooms) {
    const outcome: Outcome = { room, bytes: 0 };
    try {
      const entry = await exportRoom(store, room, folder);
      written.push(entry);
      outcome.bytes = entry.bytes;
    } catch (error) {
      outcome.error = reason(error);
    }
    yield outcome;
  }
  const createdAt = new Date(now).toISOString();
  const content: Manifest = { format: "tessera-export", version: 1, createdAt, rooms: written };
  await Deno.writeTextFile(path, JSON.stringify(content, null, 2) + "\n");
}

/**
 * Merges an export into a store, and tells what became of each room. What a room has already is not
 * written again.
 * @param only the rooms to import; default: all that the export holds.
 * @throws {BackupError} when the folder holds no export that can be read, or not these rooms.
 */
export async function* importRooms(
  store: RoomStore,
  folder: string,
  only?: string[],
): AsyncIterable<Outcome> {
  const { rooms } = await readManifest(folder);
  const names = new Set(only ?? rooms.map(({ name }) => name));
  const absent = names.difference(new Set(rooms.map(({ name }) => name)));
  if (absent.size > 0) {
    throw new BackupError(`the export does not hold ${[...absent].map(quote).join(", ")}`);
  }
  for (const entry of rooms.filter(({ name }) => names.has(name))) {
    const outcome: Outcome = { room: entry.name, bytes: 0 };
    try {
      outcome.bytes = await importRoom(store, entry, folder);
    } catch (error) {
      outcome.error = reason(error);
    }
    yield outcome;
  }
}

async function exportRoom(store: RoomStore, room: string, folder: string): Promise<ManifestRoom> {
  const document = await load(room, store.log(room));
  if (document === null) throw new Error(`there is no room ${quote(room)}`);
  const bytes = document.state();
  // A hash, since no file system takes every name, and some do not tell `A` from `a`.
  const file = `${sha256(new TextEncoder().encode(room)).slice(0, 32)}.yjs`;
  await Deno.writeFile(join(folder, file), bytes);
  return {
    name: room,
    file,
    bytes: bytes.length,
    sha256: sha256(bytes),
    stateVector: document.stateVector().toBase64(),
  };
}

/** Returns how many bytes the room lacked. */
async function importRoom(store: RoomStore, entry: ManifestRoom, folder: string): Promise<number> {
  const bytes = await Deno.readFile(join(folder, entry.file));
  if (bytes.length !== entry.bytes || sha256(bytes) !== entry.sha256) {
    throw new Error(`${entry.file} is not what was exported: its hash differs`);
  }
  const log = store.log(entry.name);
  const document = await load(entry.name, log) ?? new Document();
  const news = document.applyUnread([bytes]);
  if (document.dropPending()) throw new Error(`${entry.file} has a gap`);
  if (news === null) return 0;
  await log.append(news);
  return news.length;
}

/** The room's document, or null when there is no such room. */
async function load(room: string, log: RoomLog): Promise<Document | null> {
  const updates = await log.pull();
  if (updates.length === 0) return null;
  const document = new Document();
  document.applyUnread(updates);
  if (document.dropPending()) throw new DamagedRoomError(room, "its log has a gap");
  return document;
}

async function readManifest(folder: string): Promise<Manifest> {
  const path = join(folder, MANIFEST);
  try {
    return manifest.parse(JSON.parse(await Deno.readTextFile(path)));
  } catch (cause) {
    const why = cause instanceof z.ZodError ? z.prettifyError(cause) : reason(cause);
    throw new BackupError(`${path} is not the manifest of an export: ${why}`, { cause });
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.lstat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function quote(room: string): string {
  return JSON.stringify(room);
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
