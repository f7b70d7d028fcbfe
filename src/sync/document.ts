import { createDecoder, hasContent } from "lib0/decoding";
import * as encoding from "lib0/encoding";
import * as Y from "yjs";
import { isInConflict } from "./conflict.ts";
import { inParts, type Part } from "./deletion.ts";
import { type Extent, type Outline, outline, type Range } from "./outline.ts";
import { nextPiece, type Piece, type StateVector } from "@tessera/client/pieces";
import type { Slice } from "./slices.ts";
import { snapshotInSteps } from "./snapshot.ts";
import { MalformedUpdateError } from "./struct_reader.ts";
import { readUint } from "./varint.ts";

/**
 * A large document is sent in pieces of this size: on a phone's bad day one takes a few seconds, and
 * Deno keeps a buffer as large as the largest frame for each socket.
 */
const PIECE_BYTES = 64 * 1024;

/** More clients than any document has: a frame of 8 MiB of them would keep everybody waiting for 0.2 s. */
const MAX_STATE_VECTOR = 512 * 1024;

/**
 * So many bytes of what waits for its parents are kept until the batch is over: what they wait for may
 * come with it. Yjs reads all of them again at each update.
 */
const MAX_PENDING_BYTES = 512;

/** An update that could be read broke the document, which may now be half-changed: rebuild it. */
export class PoisonedError extends Error {
  override readonly name = "PoisonedError";
}

/** Whether an update that can be read says nothing, as the answer of who has nothing to add. */
export function isEmpty(update: Uint8Array): boolean {
  return update.every((byte) => byte === 0); // no structs, no deletions
}

/** As `Y.encodeStateVector`, which sorts: that takes longer than all else with many clients. */
export function writeStateVector(stateVector: StateVector): Uint8Array {
  return encoding.encode((encoder) => {
    encoding.writeVarUint(encoder, stateVector.size);
    for (const [client, clock] of stateVector) {
      encoding.writeVarUint(encoder, client);
      encoding.writeVarUint(encoder, clock);
    }
  });
}

/** Reads a peer's state vector. @throws {MalformedUpdateError} */
export function checkStateVector(bytes: Uint8Array): void {
  if (bytes.length > MAX_STATE_VECTOR) {
    throw new MalformedUpdateError(`a state vector has at most ${MAX_STATE_VECTOR} bytes`);
  }
  readStateVector(bytes);
}

/** @throws {MalformedUpdateError} */
export function readStateVector(bytes: Uint8Array): StateVector {
  const decoder = createDecoder(bytes);
  const stateVector: StateVector = new Map();
  try {
    for (let left = readUint(decoder); left > 0; left--) {
      const client = readUint(decoder);
      stateVector.set(client, readUint(decoder));
    }
  } catch (cause) {
    throw new MalformedUpdateError("the state vector cannot be read", { cause });
  }
  if (hasContent(decoder)) {
    throw new MalformedUpdateError("bytes after the end of the state vector");
  }
  return stateVector;
}

/** About how many bytes of memory a client costs beside its structs. */
const CLIENT_MEMORY = 200;

/**
 * What a root type counts as: for each item that is written, Yjs looks through all of them. With the
 * default limit there may be about a thousand.
 */
const ROOT_MEMORY = 80 * 1024;

/** A room's Yjs document. `apply` is the only way to change it. */
export class Document {
  readonly #doc = new Y.Doc();
  #emitted: Uint8Array | null = null;
  #hasDropped = false;
  /** About how many bytes of memory its structs need. Merged ones count as they came, until a recount. */
  structMemory = 0;

  constructor() {
    this.#doc.on("update", (update) => this.#emitted = update);
    this.#doc.on("afterTransaction", thinOutMerges);
  }

  /**
   * Applies many updates in one transaction and returns all that was new in them as one update, or
   * null. One transaction costs a fifth of the CPU and a tenth of the bytes of one each, and
   * duplicates vanish in it.
   * @param isEnough Asked after each update with how many were applied: whether to leave it at that.
   * @throws {PoisonedError}
   */
  apply(updates: Uint8Array[], isEnough?: (count: number) => boolean): Uint8Array | null {
    this.#emitted = null;
    const { size: roots } = this.#doc.share;
    try {
      this.#doc.transact(() => {
        for (const [n, update] of updates.entries()) {
          Y.applyUpdate(this.#doc, update);
          if (this.#pendingBytes > MAX_PENDING_BYTES) this.#hasDropped = this.dropPending();
          if (isEnough?.(n + 1)) break;
        }
      });
    } catch (cause) {
      throw new PoisonedError("an update broke the document", { cause });
    }
    if (this.#doc.share.size > roots) this.#dropEmptyRoots(roots);
    return this.#emitted;
  }

  /**
   * Applies updates that nobody has read yet: from a file, or as a store holds them.
   * @throws {PoisonedError} also when one cannot be read.
   */
  applyUnread(updates: Uint8Array[]): Uint8Array | null {
    try {
      for (const update of updates) outline(update, true);
    } catch (cause) {
      if (!(cause instanceof MalformedUpdateError)) throw cause;
      throw new PoisonedError("an update cannot be read", { cause });
    }
    return this.apply(updates);
  }

  /**
   * Forgets updates that wait for parents that the document lacks, and says whether there were any.
   * They are stored nowhere, so a joiner must not see them either; their sender still has them.
   */
  dropPending(): boolean {
    const { store } = this.#doc;
    const hasDropped = this.#hasDropped || store.pendingStructs !== null ||
      store.pendingDs !== null;
    this.#hasDropped = false;
    store.pendingStructs = null;
    store.pendingDs = null;
    return hasDropped;
  }

  /** How many clients have written it. */
  get clients(): number {
    return this.#doc.store.clients.size;
  }

  /** Whether it would have more clients than this with an update, some of them new. */
  exceedsClients({ blocks }: Outline, most: number): boolean {
    if (this.clients + blocks.size <= most) return false;
    const { clients } = this.#doc.store;
    let count = clients.size;
    for (const client of blocks.keys()) if (!clients.has(client)) count++;
    return count > Math.max(most, clients.size);
  }

  /** Up to which clock it has something of a client. */
  clockOf(client: number): number {
    return Y.getState(this.#doc.store, client);
  }

  /** Whether it has something else than a slice of an update in the same place: see `isInConflict`. */
  isInConflict({ update, blocks }: Pick<Slice, "update" | "blocks">): boolean {
    for (const [client, { clock }] of blocks) {
      if (clock < this.clockOf(client)) return isInConflict(this.#doc.store, update);
    }
    return false;
  }

  /** About how many bytes of memory it needs. */
  get memory(): number {
    return this.structMemory + this.clients * CLIENT_MEMORY + this.#doc.share.size * ROOT_MEMORY;
  }

  /** Yjs makes a root type of every name that it reads, also in what it does not take. */
  #dropEmptyRoots(from: number): void {
    let n = 0;
    for (const [name, { _start, _map }] of this.#doc.share) {
      if (n++ >= from && _start === null && _map.size === 0) this.#doc.share.delete(name);
    }
  }

  get #pendingBytes(): number {
    const { pendingStructs, pendingDs } = this.#doc.store;
    return (pendingStructs?.update.length ?? 0) + (pendingDs?.length ?? 0);
  }

  /** What a deletion deletes, part by part. */
  deletion(range: Range): Iterable<Part> {
    return inParts(this.#doc, range);
  }

  /** Whether the document extends as far as this. */
  covers({ client, end }: Extent): boolean {
    return end <= Y.getState(this.#doc.store, client);
  }

  /** The next piece of what a peer with this state vector lacks. */
  nextPiece(from: StateVector): Piece {
    return nextPiece(this.#doc, from, PIECE_BYTES);
  }

  /** The whole document as one update. Content that was deleted is gone from it. */
  state(): Uint8Array {
    return Y.encodeStateAsUpdate(this.#doc);
  }

  /** As `state`; one may do something else now and then, but not change the document. */
  stateInSteps(): Generator<undefined, Uint8Array, undefined> {
    return snapshotInSteps(this.#doc);
  }

  /** What the document has, for a peer to answer with the rest, and with all of some clients. */
  stateVector(allOf: ReadonlySet<number> = new Set()): Uint8Array {
    const stateVector: StateVector = new Map();
    for (const client of this.#doc.store.clients.keys()) {
      if (!allOf.has(client)) stateVector.set(client, this.clockOf(client));
    }
    return writeStateVector(stateVector);
  }
}

/**
 * When what holds much is deleted after what it held, Yjs tries to merge each of that with its
 * neighbours, and each merge moves all of their author's structs: 16 s for 100,000 items. To try the
 * last of those that follow each other is enough, since it takes those before it along.
 */
function thinOutMerges(transaction: Y.Transaction): void {
  const structs = transaction._mergeStructs;
  if (structs.length < 2) return;
  structs.sort(({ id: a }, { id: b }) => a.client - b.client || a.clock - b.clock);
  transaction._mergeStructs = structs.filter(({ id, length }, n) => {
    const next = structs[n + 1]?.id;
    return next?.client !== id.client || next.clock > id.clock + length;
  });
}
