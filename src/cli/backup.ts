import { createHash } from "node:crypto";
import { join } from "node:path";
import { z } from "zod";
import { type AccessArchive, type ArchivedAccess, archivedAccess } from "../access/archive.ts";
import { ownerByName } from "../access/room_access.ts";
import { Document } from "../sync/document.ts";
import { roomNameFault } from "../sync/room_name.ts";
import { DamagedRoomError, type RoomLog, type RoomStore } from "../store/room_store.ts";

/**
 * A room in the manifest of an export. Its file is one plain Yjs update that holds the whole document:
 * `Y.applyUpdate(new Y.Doc(), bytes)` reads it, with nothing of ours.
 */
const manifestRoom = z.object({
  name: z.string(),
  /** A file beside the manifest: an import reads no other folder. */
  file: z.string().regex(/^[0-9a-z]+\.yjs$/),
  bytes: z.int().nonnegative(),
  sha256: z.string(),
  /** Base64. */
  stateVector: z.base64(),
  /** Who may do what in the room; null where nothing is known of that. Absent in version 1. */
  access: z.object({
    file: z.string().regex(/^[0-9a-z]+\.access\.json$/),
    sha256: z.string(),
  }).nullish(),
});

/** What lies beside the rooms' files. The rooms are read one by one: one that makes no sense harms no other. */
const manifest = z.object({
  format: z.literal("tessera-export"),
  version: z.literal([1, 2]),
  createdAt: z.iso.datetime(),
  rooms: z.array(z.unknown()),
});

type ManifestRoom = z.infer<typeof manifestRoom>;

/** What became of one room. */
export interface Outcome {
  room: string;
  /** Bytes of the document that were exported, or appended: 0 when the room has it all. */
  bytes: number;
  /** What became of the access to it, in words. */
  access?: string;
  /** Why it could not be done; the other rooms are not affected. */
  error?: string;
}

/** Where rooms lie: their documents, and who may do what in them. */
export interface Place {
  store: RoomStore;
  access: AccessArchive;
}

/** What is to be imported, and how. */
export interface ImportOptions {
  /** The rooms to import. Default: all that the export holds. */
  only?: string[];
  /** Who is to own rooms whose owner neither the export nor their name tells. Default: nobody. */
  owner?: string;
  /**
   * What to do about a room that has an owner already: keep its access, or replace it by that of the
   * export. Default: keep it, but leave alone a room that belongs to somebody else than in the export.
   */
  existing?: "keep" | "replace";
}

/** A folder that cannot be exported to, or imported from. The message says why. */
export class BackupError extends Error {
  override readonly name = "BackupError";
}

const MANIFEST = "manifest.json";

/** An export tells who may read what. */
const PRIVATE_FILE = { mode: 0o600 };
const PRIVATE_FOLDER = { recursive: true, mode: 0o700 };

/** An export starts over so often when a room is deleted and made anew meanwhile. */
const MAX_TRIES = 5;

/**
 * Writes rooms to a folder, two files a room, and tells what became of each. The manifest comes last: a
 * folder without one is no export. `now` is in ms since the Unix epoch.
 * @throws {BackupError} when the folder holds an export already.
 */
export async function* exportRooms(
  place: Place,
  rooms: AsyncIterable<string> | Iterable<string>,
  folder: string,
  now: number,
): AsyncIterable<Outcome> {
  await Deno.mkdir(folder, PRIVATE_FOLDER);
  const path = join(folder, MANIFEST);
  if (await exists(path)) throw new BackupError(`there is an export in ${folder} already`);
  const written: ManifestRoom[] = [];
  for await (const room of rooms) {
    const outcome: Outcome = { room, bytes: 0 };
    try {
      const entry = await exportRoom(place, room, folder);
      written.push(entry);
      outcome.bytes = entry.bytes;
      outcome.access = entry.access === null ? "it has no owner" : "with its access";
    } catch (error) {
      outcome.error = reason(error);
    }
    yield outcome;
  }
  const createdAt = new Date(now).toISOString();
  const content = { format: "tessera-export", version: 2, createdAt, rooms: written };
  await Deno.writeTextFile(path, JSON.stringify(content, null, 2) + "\n", PRIVATE_FILE);
}

/**
 * Merges an export into a store, and tells what became of each room. What a room has already is not
 * written again.
 * @throws {BackupError} when the folder holds no export that can be read, or not these rooms.
 */
export async function* importRooms(
  place: Place,
  folder: string,
  options: ImportOptions = {},
): AsyncIterable<Outcome> {
  const rooms = await readManifest(folder);
  const named = new Map(rooms.map((room, n) => [nameOf(room) ?? `room ${n + 1}`, room]));
  const names = new Set(options.only ?? named.keys());
  const absent = names.difference(new Set(named.keys()));
  if (absent.size > 0) {
    throw new BackupError(`the export does not hold ${[...absent].map(quote).join(", ")}`);
  }
  const twice = new Set(rooms.map(nameOf).filter((name, n, all) => all.indexOf(name) !== n));
  for (const [name, room] of named) {
    if (!names.has(name)) continue;
    const outcome: Outcome = { room: name, bytes: 0 };
    try {
      if (twice.has(name)) throw new Error("the manifest has it twice");
      Object.assign(outcome, await importRoom(place, readEntry(room), folder, options));
    } catch (error) {
      outcome.error = reason(error);
    }
    yield outcome;
  }
}

/**
 * The document first, then the access: who was taken out in between does not get in by the export. A
 * room that is another one by then is read anew.
 */
async function exportRoom(
  { store, access: archive }: Place,
  room: string,
  folder: string,
): Promise<ManifestRoom> {
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const { value: before } = await archive.record(room);
    const document = await load(room, store.log(room));
    const access = await archive.read(room);
    const { value: after } = await archive.record(room);
    if (before?.id !== after?.id || (before === null) !== (after === null)) continue;
    if (document === null && access === null) throw new Error(`there is no room ${quote(room)}`);
    return await writeRoom(room, document ?? new Document(), access, folder);
  }
  throw new Error("it is deleted and made anew all the time");
}

async function writeRoom(
  room: string,
  document: Document,
  access: ArchivedAccess | null,
  folder: string,
): Promise<ManifestRoom> {
  const bytes = document.state();
  // A hash, since no file system takes every name, and some do not tell `A` from `a`.
  const file = sha256(new TextEncoder().encode(room)).slice(0, 32);
  await Deno.writeFile(join(folder, `${file}.yjs`), bytes, PRIVATE_FILE);
  const text = new TextEncoder().encode(JSON.stringify(access, null, 2) + "\n");
  const accessFile = `${file}.access.json`;
  if (access !== null) await Deno.writeFile(join(folder, accessFile), text, PRIVATE_FILE);
  return {
    name: room,
    file: `${file}.yjs`,
    bytes: bytes.length,
    sha256: sha256(bytes),
    stateVector: document.stateVector().toBase64(),
    access: access === null ? null : { file: accessFile, sha256: sha256(text) },
  };
}

/** Reads all of it before anything is written. The access comes first, so that nobody else gets the document. */
async function importRoom(
  { store, access: archive }: Place,
  entry: ManifestRoom,
  folder: string,
  options: ImportOptions,
): Promise<Omit<Outcome, "room">> {
  const { name: room } = entry;
  const bytes = await readHashed(folder, entry.file, entry.sha256);
  if (bytes.length !== entry.bytes) throw new Error(`${entry.file} has ${bytes.length} bytes`);
  const archived = entry.access ? await readAccess(folder, entry.access) : null;
  const log = store.log(room);
  const document = await load(room, log) ?? new Document();
  const news = document.applyUnread([bytes]);
  if (document.dropPending()) throw new Error(`${entry.file} has a gap`);
  const { owner, access } = await importAccess(archive, room, archived, options);
  const { value, key, versionstamp } = await archive.record(room);
  if ((value?.owner ?? null) !== owner) throw new Error("it has just got another owner");
  // Whoever takes the name in between does not get the document.
  if (news !== null) await log.append(news, { key, versionstamp });
  return { bytes: news?.length ?? 0, access };
}

/** Returns who owns the room then, and what became of the access to it, in words. */
async function importAccess(
  archive: AccessArchive,
  room: string,
  archived: ArchivedAccess | null,
  { owner, existing }: ImportOptions,
): Promise<{ owner: string | null; access: string }> {
  const before = await archive.record(room);
  const { value: record } = before;
  if (record !== null && archived !== null && existing !== "keep") {
    if (existing === "replace") {
      await archive.write(room, archived, before);
      return { owner: archived.owner, access: "its access was replaced by that of the export" };
    }
    if (record.owner !== archived.owner) {
      throw new Error(
        `it belongs to ${record.owner} here, and to ${archived.owner} in the export: ` +
          "--access keep or --access replace says whose it is to be",
      );
    }
  }
  if (record !== null) {
    return { owner: record.owner, access: "the access that it had here was kept" };
  }
  if (archived !== null) {
    await archive.write(room, archived, before);
    return { owner: archived.owner, access: "with its access" };
  }
  if (ownerByName(room) !== null) return { owner: null, access: "its name says whose it is" };
  if (owner === undefined) {
    return { owner: null, access: "it belongs to nobody: `deno task own` gives it an owner" };
  }
  await archive.assign(room, owner);
  return { owner, access: `it belongs to ${owner}` };
}

async function readAccess(
  folder: string,
  { file, sha256 }: NonNullable<ManifestRoom["access"]>,
): Promise<ArchivedAccess> {
  const text = new TextDecoder().decode(await readHashed(folder, file, sha256));
  const { data, error } = archivedAccess.safeParse(JSON.parse(text));
  if (error) throw new Error(`${file} makes no sense: ${z.prettifyError(error)}`);
  return data;
}

async function readHashed(
  folder: string,
  file: string,
  hash: string,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = await Deno.readFile(join(folder, file));
  if (sha256(bytes) !== hash) throw new Error(`${file} is not what was exported: its hash differs`);
  return bytes;
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

async function readManifest(folder: string): Promise<unknown[]> {
  const path = join(folder, MANIFEST);
  try {
    return manifest.parse(JSON.parse(await Deno.readTextFile(path))).rooms;
  } catch (cause) {
    const why = cause instanceof z.ZodError ? z.prettifyError(cause) : reason(cause);
    throw new BackupError(`${path} is not the manifest of an export: ${why}`, { cause });
  }
}

/** @throws {Error} when the service would not have such a room, or the manifest says nothing sensible of it */
function readEntry(room: unknown): ManifestRoom {
  const { data, error } = manifestRoom.safeParse(room);
  if (error) throw new Error(`what the manifest says makes no sense: ${z.prettifyError(error)}`);
  const fault = roomNameFault(data.name);
  if (fault !== null) throw new Error(fault);
  return data;
}

function nameOf(room: unknown): string | null {
  return z.object({ name: z.string() }).safeParse(room).data?.name ?? null;
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
