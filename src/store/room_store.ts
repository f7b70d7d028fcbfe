/**
 * Where rooms come to rest. `sync/` knows these interfaces alone; each engine has a folder of its own
 * and passes the contract in `tests/store/contract.ts`.
 */
export interface RoomStore {
  /** The log of one room, positioned before its first entry. Reads nothing yet. */
  log(room: string): RoomLog;
  /**
   * Calls back whenever another instance may have changed something about the room. It
   * may call once too often, and within seconds it calls even if a message was lost. Returns a
   * function that stops it.
   */
  watch(room: string, onChange: (what: Change) => void): () => void;
  /** The presence that instances tell each other. It is never part of a log. */
  readonly presence: PresenceBoard;
  /** Removes a room and everything that belongs to it. Whoever has its log open gets a {@linkcode RoomDeletedError}. */
  delete(room: string): Promise<void>;
  /** The names of all rooms that hold anything. */
  rooms(): AsyncIterable<string>;
  /** Resolves when the store can be read and written. @throws what the engine throws when it cannot. */
  ping(): Promise<void>;
  /** Lets go of what it holds in the background. The underlying store stays open. */
  close(): Promise<void>;
}

/**
 * What another instance may have changed: the room's log, who is present there, or who listens to what
 * this instance tells of its own presence, and has not heard it yet.
 */
export type Change = "log" | "presence" | "audience";

/**
 * One reader's and writer's view of a room's log: a snapshot, then the updates that came after it.
 * Updates are opaque bytes here, and commute: the order in which two writers' updates are read back
 * does not matter, that each is read back does.
 */
export interface RoomLog {
  /**
   * Everything that was stored since this view last looked: the first time the whole room, an empty
   * list for a room that nobody has written.
   * @throws {DamagedRoomError} when what is stored is not what was written.
   * @throws {RoomDeletedError} when the room was deleted since.
   */
  pull(): Promise<Uint8Array[]>;
  /**
   * Appends one update. When this resolves the update is durable. Resolves with what other writers
   * stored in the meantime, as `pull` would have.
   * After a failure nobody knows whether the update was stored; appending it again is safe, and if it
   * was it is handed out, with what others stored, by whatever succeeds next.
   * @throws {RoomDeletedError} when the room was deleted since; nothing was stored then.
   * @throws {PremiseError} when the premise holds no more; nothing was stored then.
   */
  append(update: Uint8Array, premise?: Premise): Promise<Uint8Array[]>;
  /**
   * Replaces everything that this view has handed out and taken in by one snapshot that contains it
   * all. Not to be called while an append or a pull is under way, for then nobody can say what that
   * is; both may follow at once. Resolves with false, and changes nothing, when another writer was
   * there first.
   */
  compact(snapshot: Uint8Array): Promise<boolean>;
  /** What a reader has to go through after the snapshot, as far as this view knows. */
  readonly size: LogSize;
}

/**
 * Something in the store, as it was when it was decided that a write may be made. The write is made
 * only if it still is.
 */
export interface Premise {
  key: Deno.KvKey;
  /** Null for what was not there. */
  versionstamp: string | null;
}

/** How long a log has grown. */
export interface LogSize {
  /** Bytes of the snapshot; 0 when there is none. */
  snapshotBytes: number;
  /** Updates since the snapshot. */
  entries: number;
  /** Bytes of these updates. */
  bytes: number;
}

/** Who is present where, from instance to instance. What is told is opaque bytes here. */
export interface PresenceBoard {
  /** Whether there is anybody to tell. */
  readonly hasOthers: boolean;
  /**
   * Grows every few seconds, also over restarts, and is about the same on all instances that share the
   * store: a time that nobody's clock can spoil.
   */
  readonly era: number;
  /** Resolves once the era here is later than that of any other instance was when this was called. */
  advance(): Promise<void>;
  /** Tells the others who is present in a room on this instance; null for nobody. Replaces what it told before. */
  publish(room: string, present: Uint8Array | null): Promise<void>;
  /** What the other living instances tell of a room, by instance. */
  others(room: string): Promise<Map<string, Uint8Array>>;
}

/** What the store holds for a room is not what was written to it. Nobody may overwrite it. */
export class DamagedRoomError extends Error {
  override readonly name = "DamagedRoomError";
  constructor(readonly room: string, what: string) {
    super(`room ${JSON.stringify(room)} is damaged in the store: ${what}`);
  }
}

/** What a write was decided on has changed. */
export class PremiseError extends Error {
  override readonly name = "PremiseError";
  constructor(room: string) {
    super(`what may be written to room ${JSON.stringify(room)} has changed`);
  }
}

/** The room was deleted while its log was open. */
export class RoomDeletedError extends Error {
  override readonly name = "RoomDeletedError";
  constructor(readonly room: string) {
    super(`room ${JSON.stringify(room)} was deleted`);
  }
}
