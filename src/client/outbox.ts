import * as Y from "yjs";
import type { Doc, Transaction } from "yjs";
import { conflictsWith, contradicts, moveToNewClient } from "./conflict.ts";
import {
  deletionPieces,
  nextStructs,
  NOTHING_DELETED,
  type StateVector,
  type Structs,
} from "./pieces.ts";
import { quietly } from "./presence.ts";
import { probeFrame, step2Frame, updateFrame } from "./wire.ts";
import type { World } from "./world.ts";

/** A large document goes up in pieces of this size, as it comes down. */
const PIECE_BYTES = 64 * 1024;

/** How many bytes may wait in the socket before more is added: a slow line is told of nothing new. */
const BUFFER_BYTES = 256 * 1024;

/** A service with a lower limit gets smaller pieces, but none smaller than this. */
const LEAST_PIECE_BYTES = 1024;

/** What a frame has beside the value that is alone in it, at most. */
const FRAME_HEAD_BYTES = 64;

/** How often one looks whether they have gone, in ms: no browser tells. */
const POLL_MS = 50;

/**
 * What the service takes by default is 4 MiB and 2,000 messages a second, and in advance 64 MiB and
 * 10,000 messages. A frame counts as 2 KiB at least, so that one rate keeps both.
 */
const RATE_BYTES_S = 3 * 1024 * 1024;
const BURST_BYTES = 16 * 1024 * 1024;
const FRAME_BYTES = 2 * 1024;

/** How long one waits before looking again whether a value is still too large, in ms: that takes a while. */
const STUCK_MS = 1_000;

/** How long the service may take to acknowledge before one looks whether it is there, in ms. */
const PATIENCE_MS = 5_000;

/**
 * How much of a client's latest text that was there before is sent again, in UTF-16 units: the service
 * compares it, and notices if it has something else there.
 */
const OVERLAP = 32;

type DeleteSet = ReturnType<typeof Y.createDeleteSet>;

/** What an outbox sends with. */
export interface Link {
  readonly buffered: number;
  send(frame: Uint8Array<ArrayBuffer>): void;
}

/** Who hears of it. */
export interface Listener {
  /** What is pending has changed. */
  changed(): void;
  /** The service takes long to acknowledge. */
  late(): void;
}

/**
 * Sends the service what it lacks of a document, no faster than the service takes it, and knows what
 * of the document is durable there: a probe goes after each edit, one at a time, and comes back once
 * everything before it is.
 */
export class Outbox {
  #link: Link | null = null;
  /** What the service has of the document, while it lags behind; null while it is sent edits as they come. */
  #at: StateVector | null = null;
  /** The service asked for what it lacks: the last of it is step 2, and all that was deleted is in it. */
  #isAnswer = false;
  /** What was deleted since it lags behind. */
  #deleted: DeleteSet[] = [];
  /** The service has been sent all that it lacked when it asked. */
  #isCurrent = false;
  /** How many changes there were that the service may not have; up to which of them it has them. */
  #changes: number;
  #saved = 0;
  /** The last of them that was made here: the others were read from somewhere, a database say. */
  #typed = 0;
  /** For each client, from which clock on the service has not acknowledged it; and of that, what is probed. */
  readonly #unsettled: StateVector = new Map();
  readonly #probed: StateVector = new Map();
  /** The probe under way. */
  #probe: number | null = null;
  #isPlanned = false;
  #cancelPatience = () => {};
  #cancelPump = () => {};
  /** When the service will accept a full burst again. */
  #wholeAt = 0;
  #pieceBytes = PIECE_BYTES;
  /** The most bytes of a single value, as far as that is known. */
  #mostBytes = Number.MAX_VALUE;
  /** The largest frame on this connection. */
  #largest = 0;
  /** Bytes of a value that is too large to be sent. */
  #tooLarge: number | null = null;
  #gapBytes = 0;
  readonly #onUpdate: (bytes: Uint8Array, origin: unknown, doc: Doc, by: Transaction) => void;

  /** @param origin Of the updates that come from the service. */
  constructor(
    private readonly doc: Doc,
    private readonly origin: object,
    private readonly world: World,
    private readonly listener: Listener,
  ) {
    this.#changes = doc.store.clients.size > 0 ? 1 : 0;
    this.#note(new Map(), Y.decodeStateVector(Y.encodeStateVector(doc)), OVERLAP);
    this.#onUpdate = (bytes, origin, _doc, transaction) => this.#hear(bytes, origin, transaction);
    doc.on("update", this.#onUpdate);
  }

  /** Something has not been acknowledged. */
  get isPending(): boolean {
    return this.#saved < this.#changes;
  }

  /** Something that was changed here has not been acknowledged. */
  get isOwnPending(): boolean {
    return this.#saved < this.#typed;
  }

  /** Bytes of a value that the service does not accept, or null. It waits, and all that builds on it. */
  get tooLarge(): number | null {
    return this.#tooLarge;
  }

  /** The document refers to edits that are not here. */
  get isIncomplete(): boolean {
    return gapBytesOf(this.doc) > 0;
  }

  /** A connection has opened. */
  attach(link: Link): void {
    this.#link = link;
    this.#largest = 0;
  }

  /** The service says what it has, and asks for the rest. */
  answer(stateVector: Uint8Array): void {
    const has = Y.decodeStateVector(stateVector);
    // What it may not have heard from us it is sent in any case: it may have something else there.
    for (const [client, from] of [...this.#unsettled, ...this.#probed]) {
      has.set(client, Math.min(from, has.get(client) ?? 0));
    }
    this.#at = has;
    this.#isAnswer = true;
    this.#pump();
  }

  /**
   * The service has something else under one of our client ids: gives what it lacks of ours to new ones.
   * @param theirs All that the service has.
   * @returns whether there was anything
   */
  resolve(theirs: Uint8Array[]): boolean {
    const conflicts = conflictsWith(this.doc, theirs, this.#isOwn);
    for (const conflict of conflicts) {
      this.#unsettled.delete(conflict.client);
      moveToNewClient(this.doc, conflict, () => this.world.random());
    }
    // Or nothing differs after all: then it is not to be sent for ever.
    if (conflicts.length === 0) this.#unsettled.clear();
    return conflicts.length > 0;
  }

  /** Whether the service has something else under the id of something that it has not acknowledged. */
  contradicts(update: Uint8Array): boolean {
    if (this.#unsettled.size + this.#probed.size === 0) return false;
    return contradicts(update, this.doc, this.#isOwn);
  }

  readonly #isOwn = (client: number, clock: number): boolean =>
    clock >= (this.#unsettled.get(client) ?? Infinity) ||
    clock >= (this.#probed.get(client) ?? Infinity);

  /** What is here for certain, as a state vector: what was not acknowledged, the service may have otherwise. */
  get stateVector(): Uint8Array {
    const all = Y.decodeStateVector(Y.encodeStateVector(this.doc));
    for (const [client, from] of [...this.#unsettled, ...this.#probed]) lower(all, client, from);
    return Y.encodeStateVector(all);
  }

  /** Applies what came from the service. */
  apply(update: Uint8Array): void {
    this.#gapBytes = gapBytesOf(this.doc);
    quietly(() => Y.applyUpdate(this.doc, update, this.origin));
  }

  acknowledged(probe: number): void {
    if (probe !== this.#probe) return;
    this.#saved = probe;
    this.#probed.clear();
    this.#forgetProbe();
    this.listener.changed();
    this.#plan();
  }

  /** The connection has ended, and what was under way on it may be lost. */
  detach(): void {
    this.#link = null;
    this.#at = null;
    this.#deleted = [];
    this.#isCurrent = false;
    this.#cancelPump();
    this.#forgetProbe();
    for (const [client, from] of this.#probed) lower(this.#unsettled, client, from);
    this.#probed.clear();
  }

  /** The service has closed the connection because a message was too large. */
  refused(): void {
    if (this.#largest > 2 * PIECE_BYTES) this.#mostBytes = this.#largest - FRAME_HEAD_BYTES;
    else this.#pieceBytes = Math.max(LEAST_PIECE_BYTES, this.#pieceBytes / 2);
  }

  destroy(): void {
    this.detach();
    this.doc.off("update", this.#onUpdate);
  }

  #hear(bytes: Uint8Array, origin: unknown, transaction: Transaction): void {
    const { local, beforeState, afterState, deleteSet } = transaction;
    // What waited for something from the service is news to it, though it comes along with that.
    const isNews = origin !== this.origin || gapBytesOf(this.doc) < this.#gapBytes;
    if (!isNews) return this.#skip(beforeState, afterState);
    this.#changes++;
    if (local) this.#typed = this.#changes;
    this.#note(beforeState, afterState, local ? Infinity : OVERLAP);
    if (this.#at !== null) {
      this.#deleted.push(deleteSet);
      // Deleted, it would be small.
      if (this.#tooLarge !== null) this.#pumpIn(deleteSet.clients.size > 0 ? 0 : STUCK_MS);
    } else if (bytes.length <= 2 * this.#pieceBytes && this.#hasRoom) {
      this.#send(updateFrame(bytes));
    } else if (this.#link !== null) {
      this.#at = new Map(beforeState);
      this.#deleted = [deleteSet];
      this.#pump();
    }
    this.listener.changed();
    this.#plan();
  }

  /** The service has these already. */
  #skip(before: StateVector, after: StateVector): void {
    if (this.#at === null) return;
    for (const [client, end] of after) {
      const has = this.#at.get(client) ?? 0;
      if (has < end && has >= (before.get(client) ?? 0)) this.#at.set(client, end);
    }
  }

  /** The service has not acknowledged these; of what is not new, `most` at the end are looked at. */
  #note(before: StateVector, after: StateVector, most: number): void {
    for (const [client, end] of after) {
      const begin = before.get(client) ?? 0;
      if (begin < end) lower(this.#unsettled, client, Math.max(begin, end - most));
    }
  }

  /** Sends what the service lacks, as its pace and the line's allow. */
  #pump(): void {
    this.#cancelPump();
    while (this.#link !== null && this.#at !== null) {
      if (!this.#hasRoom) return this.#pumpIn(POLL_MS);
      const next = nextStructs(this.doc, this.#at, this.#pieceBytes, this.#mostBytes);
      this.#at = next.reaches;
      if (next.last) return this.#finish(next);
      this.#send(updateFrame(next.toUpdate(NOTHING_DELETED)));
    }
  }

  #pumpIn(ms: number): void {
    this.#cancelPump();
    this.#cancelPump = this.world.after(ms, () => this.#pump());
  }

  #finish({ bytes, tooLarge, toUpdate }: Structs): void {
    const deletions = this.#isAnswer
      ? Y.createDeleteSetFromStructStore(this.doc.store)
      : Y.mergeDeleteSets(this.#deleted);
    const pieces = deletionPieces(deletions, this.#pieceBytes);
    // A large value is alone in its frame, so that its size is known if it is refused.
    const first = toUpdate(bytes > 2 * this.#pieceBytes ? NOTHING_DELETED : pieces.shift()!);
    const updates = [first, ...pieces.map(withoutStructs)];
    const last = updates.pop()!;
    for (const update of updates) this.#send(updateFrame(update));
    if (this.#isAnswer) this.#send(step2Frame(last));
    else if (last.length > 2) this.#send(updateFrame(last));
    this.#isCurrent ||= this.#isAnswer;
    this.#isAnswer = false;
    this.#deleted = [];
    if (tooLarge === null) this.#at = null;
    this.#tooLarge = tooLarge;
    this.listener.changed();
    this.#plan();
  }

  get #hasRoom(): boolean {
    const now = this.world.uptime();
    const isPaced = this.#wholeAt - now < 1_000 * BURST_BYTES / RATE_BYTES_S;
    return this.#link !== null && isPaced && this.#link.buffered < BUFFER_BYTES;
  }

  #send(frame: Uint8Array<ArrayBuffer>): void {
    const cost = Math.max(frame.length, FRAME_BYTES);
    const now = this.world.uptime();
    this.#wholeAt = Math.max(now, this.#wholeAt) + 1_000 * cost / RATE_BYTES_S;
    this.#largest = Math.max(this.#largest, frame.length);
    this.#link?.send(frame);
  }

  /** Probes at the end of this turn, when all that is being done to the document is done. */
  #plan(): void {
    if (this.#isPlanned) return;
    this.#isPlanned = true;
    queueMicrotask(() => {
      this.#isPlanned = false;
      if (this.isPending && this.#isCurrent && this.#at === null) this.#ask();
    });
  }

  #ask(): void {
    if (this.#link === null || this.#probe !== null) return;
    this.#probe = this.#changes;
    for (const [client, from] of this.#unsettled) lower(this.#probed, client, from);
    this.#unsettled.clear();
    this.#send(probeFrame(this.#probe));
    this.#cancelPatience = this.world.after(PATIENCE_MS, () => this.listener.late());
  }

  #forgetProbe(): void {
    this.#cancelPatience();
    this.#probe = null;
  }
}

/** An update of deletions alone. */
function withoutStructs(deletions: Uint8Array): Uint8Array {
  const update = new Uint8Array(deletions.length + 1);
  update.set(deletions, 1);
  return update;
}

function lower(clocks: StateVector, client: number, clock: number): void {
  clocks.set(client, Math.min(clock, clocks.get(client) ?? Infinity));
}

/** Bytes of what waits in a document for edits that are not there. */
function gapBytesOf({ store }: Doc): number {
  return (store.pendingStructs?.update.length ?? 0) + (store.pendingDs?.length ?? 0);
}
