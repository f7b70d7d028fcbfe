import { getLogger } from "@logtape/logtape";
import type { Clock } from "../clock.ts";
import type { Tally } from "../observe/tally.ts";
import {
  DamagedRoomError,
  type Premise,
  PremiseError,
  RoomDeletedError,
  type RoomLog,
  type RoomStore,
} from "../store/room_store.ts";
import { Document, PoisonedError } from "./document.ts";
import type { HeavyTurns } from "./heavy_turns.ts";
import { type Outline, outline, outlineInSteps } from "./outline.ts";
import { applyInTurns, inTurns, Portion } from "./portion.ts";
import type { Slice } from "./slices.ts";
import { MalformedUpdateError } from "./struct_reader.ts";
import { levelOf, StoreDownError } from "../store/errors.ts";

const logger = getLogger(["tessera", "sync"]);

/** Waits between the tries of a call that fails, in ms: about 8 s in all, longer than a store's hiccup. */
const RETRIES = [50, 100, 200, 400, 800, 1_600, 2_400, 2_400];

/** What trying again does not mend. */
const IS_FINAL = [DamagedRoomError, RoomDeletedError, PremiseError];

/**
 * When the log is folded into a snapshot: once reading it back would cost about half as much as
 * reading the document, and not before it would be felt at all. An entry costs as much to read as
 * some 512 bytes.
 */
const COMPACT_BYTES = 256 * 1024;
const COMPACT_ENTRY_BYTES = 512;
/** After a compaction that failed, in ms: it hurts nobody to wait, and a sick store gains from it. */
const COMPACT_RETRY = 60_000;

/** The memory of a document is counted again, once it seems too much, each time it has grown by this share. */
const RECOUNT_SHARE = 1 / 16;

/** What a stored document needs from outside. */
export interface StoredDocumentOptions {
  /** The room's name. */
  name: string;
  store: RoomStore;
  clock: Clock;
  turns: HeavyTurns;
  tally: Tally;
  /** The most bytes of memory that the document may need, about. */
  maxMemory: number;
  /** The most structs that are changed in one go. */
  portion?: number;
}

/** A room's document and the log that keeps it. One call at a time, but for `compactIfDue`. */
export class StoredDocument {
  readonly portion: Portion;
  readonly #name: string;
  readonly #store: RoomStore;
  readonly #clock: Clock;
  readonly #turns: HeavyTurns;
  readonly #tally: Tally;
  #log: RoomLog;
  #document: Document | null = null;
  readonly #maxMemory: number;
  /** What the document needed, when it was counted last. */
  #counted = 0;
  #compacting = false;
  #compactNotBefore = 0;

  constructor({ name, store, clock, turns, tally, maxMemory, portion }: StoredDocumentOptions) {
    this.portion = new Portion(clock, portion);
    this.#name = name;
    this.#store = store;
    this.#clock = clock;
    this.#turns = turns;
    this.#tally = tally;
    this.#maxMemory = maxMemory;
    this.#log = store.log(name);
  }

  get isLoaded(): boolean {
    return this.#document !== null;
  }

  /** The document, once it is loaded. While a commit is under way it holds what is not durable. */
  get document(): Document {
    return this.#document!;
  }

  /** How large it is in the store. */
  get bytes(): number {
    const { snapshotBytes, bytes } = this.#log.size;
    return snapshotBytes + bytes;
  }

  /** Whether it needs more memory than it may. */
  get isOverMemory(): boolean {
    return this.#seemsOverMemory && !this.#isRecountDue;
  }

  get #seemsOverMemory(): boolean {
    return this.isLoaded && this.document.memory >= this.#maxMemory;
  }

  get #isRecountDue(): boolean {
    return this.document.memory - this.#counted >= this.#maxMemory * RECOUNT_SHARE;
  }

  /**
   * Counts what memory the document needs, if that seems to be too much: a thousand letters that were
   * typed one by one have become one struct.
   */
  async recountIfDue(): Promise<void> {
    if (!this.#seemsOverMemory || !this.#isRecountDue) return;
    const state = await inTurns(this.#turns, this.document.stateInSteps());
    const { memory } = await inTurns(this.#turns, outlineInSteps(state, true));
    this.document.structMemory = memory;
    this.#counted = this.document.memory;
  }

  get isCompacting(): boolean {
    return this.#compacting;
  }

  /** Loads the document, unless it is there. @throws {DamagedRoomError} */
  async load(): Promise<void> {
    this.#document ??= await this.#read(this.#log);
  }

  /**
   * Applies slices of updates together, as long as there is time: what is new in them, or null, and how
   * many were applied.
   * @throws {PoisonedError}
   */
  apply(slices: Slice[]): { news: Outline | null; count: number } {
    const { news: bytes, count } = this.portion.apply(this.document, slices);
    const news = bytes === null ? null : outline(bytes, true);
    this.document.structMemory += news?.memory ?? 0;
    return { news, count };
  }

  /** Makes an update durable, as `RoomLog.append` does, also if the store fails for a while. */
  append(update: Uint8Array, premise?: Premise): Promise<Uint8Array[]> {
    return this.#persistently(() => this.#log.append(update, premise));
  }

  /** What others have stored, also if the store fails for a while. */
  pull(): Promise<Uint8Array[]> {
    return this.#persistently(() => this.#log.pull());
  }

  /** Applies what others have stored, and yields what was new in it. @throws {DamagedRoomError} */
  async *merge(others: Uint8Array[]): AsyncIterable<Uint8Array> {
    if (others.length === 0) return;
    yield* applyInTurns(this.#turns, this.portion, this.document, others);
    if (this.document.dropPending()) throw new DamagedRoomError(this.#name, "its log has a gap");
  }

  /** Builds the document anew from the store, and returns what others have stored that nobody was shown. */
  async rebuild(): Promise<Uint8Array[]> {
    const missed = await this.#log.pull();
    const log = this.#store.log(this.#name);
    const document = await this.#read(log);
    // It fails if the room was deleted meanwhile: then what was read is not what was shown so far.
    for (const update of await this.#log.pull()) {
      outline(update, true);
      missed.push(update);
    }
    this.#document = document;
    this.#counted = 0;
    this.#log = log; // which goes on from where the document was read
    return missed;
  }

  /** Folds the log into a snapshot, if it is worth it. Resolves when others may go on; `onEnd` follows. */
  async compactIfDue(onEnd: () => void): Promise<void> {
    const { snapshotBytes, entries, bytes } = this.#log.size;
    const weight = bytes + entries * COMPACT_ENTRY_BYTES;
    if (weight < Math.max(COMPACT_BYTES, snapshotBytes / 2)) return;
    if (this.#compacting || this.#clock.uptime() < this.#compactNotBefore) return;
    this.#compacting = true;
    const snapshot = await inTurns(this.#turns, this.document.stateInSteps());
    this.#log.compact(snapshot).catch((error) => {
      this.#compactNotBefore = this.#clock.uptime() + COMPACT_RETRY;
      logger[levelOf(error, "error")]("compacting {room} failed: {error}", {
        room: this.#name,
        error,
      });
    }).finally(() => {
      this.#compacting = false;
      onEnd();
    });
  }

  /** The document as a log has it that was not read yet. */
  async #read(log: RoomLog): Promise<Document> {
    const document = new Document();
    const stored = await log.pull();
    try {
      const portions = applyInTurns(this.#turns, this.portion, document, stored);
      while (!(await portions.next()).done);
    } catch (error) {
      if (!(error instanceof PoisonedError || error instanceof MalformedUpdateError)) throw error;
      throw new DamagedRoomError(this.#name, "something in it cannot be applied");
    }
    if (document.dropPending()) throw new DamagedRoomError(this.#name, "its log has a gap");
    return document;
  }

  async #persistently<T>(operation: () => Promise<T>): Promise<T> {
    for (const wait of RETRIES) {
      try {
        return await operation();
      } catch (error) {
        if (IS_FINAL.some((kind) => error instanceof kind)) throw error;
        if (error instanceof StoreDownError && error.onlyWrites) throw error; // others can still read
        this.#tally.storeFailures++;
        logger[levelOf(error)]("the store failed {room}, and is tried again: {error}", {
          room: this.#name,
          error,
        });
        await new Promise<void>((resolve) => this.#clock.after(wait, resolve));
      }
    }
    return await operation();
  }
}
