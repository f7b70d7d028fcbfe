import * as Y from "yjs";
import { nextPiece, type Piece, type StateVector } from "./pieces.ts";

/**
 * A large document is sent in pieces of this size: on a phone's bad day one takes a few seconds, and
 * Deno keeps a buffer as large as the largest frame for each socket.
 */
const PIECE_BYTES = 64 * 1024;

/** More clients than any document has: a frame of 8 MiB of them would keep everybody waiting for 0.2 s. */
const MAX_STATE_VECTOR = 512 * 1024;

/** A thousand keystrokes a second for three centuries. Where clocks lose their precision, Yjs fails. */
const MAX_CLOCK = 2 ** 43;

/** Values may be nested so deep: a client whose stack is smaller than ours would choke on more. */
const MAX_DEPTH = 200;

/** An update or a state vector that cannot be read. Its sender is at fault; no document was touched. */
export class MalformedUpdateError extends Error {
  override readonly name = "MalformedUpdateError";
}

/** An update that could be read broke the document, which may now be half-changed: rebuild it. */
export class PoisonedError extends Error {
  override readonly name = "PoisonedError";
}

/**
 * Makes sure that an update can be read, since a document that meets bad bytes half-way is spoilt, and
 * that it is one that Yjs might have made: others choke clients that apply them.
 * @throws {MalformedUpdateError}
 */
export function checkUpdate(update: Uint8Array): void {
  const { structs, ds } = decode(update);
  if (!structs.every(({ id, length }) => isRange(id.clock, length))) throw offLimits();
  for (const ranges of ds.clients.values()) {
    if (!ranges.every(({ clock, len }) => isRange(clock, len))) throw offLimits();
  }
  if (structs.some((struct) => struct instanceof Y.Item && isTooDeep(valuesOf(struct.content)))) {
    throw new MalformedUpdateError(`values in it are nested over ${MAX_DEPTH} deep`);
  }
}

function decode(update: Uint8Array): ReturnType<typeof Y.decodeUpdate> {
  try {
    return Y.decodeUpdate(update);
  } catch (cause) {
    throw new MalformedUpdateError("the update cannot be read", { cause });
  }
}

/** Whether there is something between these clocks, and they are such as a client might get to. */
function isRange(clock: number, length: number): boolean {
  return length > 0 && clock + length <= MAX_CLOCK;
}

function offLimits(): MalformedUpdateError {
  return new MalformedUpdateError("the update is about nothing, or about clocks beyond reach");
}

/** The values in an item, as far as they may have values in them. */
function valuesOf(content: Y.Item["content"]): unknown[] {
  if (content instanceof Y.ContentAny || content instanceof Y.ContentJSON) return content.arr;
  if (content instanceof Y.ContentEmbed) return [content.embed];
  if (content instanceof Y.ContentFormat) return [content.value];
  return [];
}

function isTooDeep(values: unknown[]): boolean {
  let level = values;
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > MAX_DEPTH) return true;
    level = level.filter((value) =>
      typeof value === "object" && value !== null && !ArrayBuffer.isView(value)
    )
      .flatMap((value) => Object.values(value as object));
  }
  return false;
}

/** Whether an update that can be read says nothing, as the answer of who has nothing to add. */
export function isEmpty(update: Uint8Array): boolean {
  return update.every((byte) => byte === 0); // no structs, no deletions
}

/** @throws {MalformedUpdateError} */
export function readStateVector(bytes: Uint8Array): StateVector {
  if (bytes.length > MAX_STATE_VECTOR) {
    throw new MalformedUpdateError(`a state vector has at most ${MAX_STATE_VECTOR} bytes`);
  }
  try {
    return Y.decodeStateVector(bytes);
  } catch (cause) {
    throw new MalformedUpdateError("the state vector cannot be read", { cause });
  }
}

/** How far an update extends: for each client id in it, the clock at which its last piece ends. */
export type Reach = Map<number, number>;

/** The reach of an update that can be read, what it inserts and what it deletes. */
export function reachOf(update: Uint8Array): Reach {
  const reach: Reach = new Map();
  const extend = (client: number, end: number) =>
    reach.set(client, Math.max(end, reach.get(client) ?? 0));
  const { structs, ds } = Y.decodeUpdate(update);
  for (const struct of structs) {
    if (!(struct instanceof Y.Skip)) extend(struct.id.client, struct.id.clock + struct.length);
  }
  for (const [client, deletions] of ds.clients) {
    for (const { clock, len } of deletions) extend(client, clock + len);
  }
  return reach;
}

/** A room's Yjs document. `apply` is the only way to change it. */
export class Document {
  readonly #doc = new Y.Doc();
  #emitted: Uint8Array | null = null;

  constructor() {
    this.#doc.on("update", (update) => this.#emitted = update);
  }

  /**
   * Applies many updates in one transaction and returns all that was new in them as one update, or
   * null. One transaction costs a fifth of the CPU and a tenth of the bytes of one each, and
   * duplicates vanish in it.
   * @throws {PoisonedError}
   */
  apply(updates: Uint8Array[]): Uint8Array | null {
    this.#emitted = null;
    try {
      this.#doc.transact(() => {
        for (const update of updates) Y.applyUpdate(this.#doc, update);
      });
    } catch (cause) {
      throw new PoisonedError("an update broke the document", { cause });
    }
    return this.#emitted;
  }

  /**
   * Forgets updates that wait for parents that the document lacks, and says whether there were any.
   * They are stored nowhere, so a joiner must not see them either; their sender still has them.
   */
  dropPending(): boolean {
    const { store } = this.#doc;
    if (store.pendingStructs === null && store.pendingDs === null) return false;
    store.pendingStructs = null;
    store.pendingDs = null;
    return true;
  }

  /** Whether the document extends as far as this. */
  covers(reach: Reach): boolean {
    const { store } = this.#doc;
    return [...reach].every(([client, end]) => end <= Y.getState(store, client));
  }

  /** The next piece of what a peer with this state vector lacks. */
  nextPiece(from: StateVector): Piece {
    return nextPiece(this.#doc, from, PIECE_BYTES);
  }

  /** The whole document as one update. Content that was deleted is gone from it. */
  state(): Uint8Array {
    return Y.encodeStateAsUpdate(this.#doc);
  }

  /** What the document has, for a peer to answer with the rest. */
  stateVector(): Uint8Array {
    return Y.encodeStateVector(this.#doc);
  }
}
