import * as Y from "yjs";
import { FIRST_WRITER } from "./wire/messages.ts";

/** A real editing history: https://github.com/josephg/editing-traces. */
interface Trace {
  endContent: string;
  txns: Transaction[];
}

/** With one writer, each transaction follows the one before it; with several, its `parents`. */
interface Transaction {
  agent?: number;
  parents?: number[];
  patches: [at: number, deleted: number, inserted: string][];
}

/** One transaction of a trace, as its writer's Yjs sends it. */
export interface Edit {
  update: Uint8Array;
  /** How far its writer's own text goes with it. */
  clock: number;
  /** How far its writer had the text of the others: by client id, a clock. */
  needs: ReadonlyMap<number, number>;
}

/** Those who wrote a trace, under the client ids that Yjs knows them by, and what they came to. */
export interface History {
  writers: { id: number; edits: Edit[] }[];
  doc: Y.Doc;
  endContent: string;
}

/** Where the traces lie. */
const FOLDER = Deno.env.get("TESSERA_TRACES") ??
  new URL("../../../shared/traces/", import.meta.url).pathname;

/**
 * Types a trace into documents of Yjs, one a writer, each of which knows at each keystroke just what
 * its writer knew. @throws when it does not end in the text in which it must.
 */
export async function replay(name: string): Promise<History> {
  const { endContent, txns } = await read(name);
  const agents = new Set(txns.map(({ agent = 0 }) => agent)); // numbered from 0
  const authors = Array.from(agents, (_, n) => new Author(FIRST_WRITER + n));
  /** How many edits of each author the document after a transaction holds. */
  const versions: number[][] = [];
  txns.forEach((transaction, n) => {
    const { agent = 0, parents = n > 0 ? [n - 1] : [], patches } = transaction;
    const author = authors[agent]!;
    const version = authors.map((each, other) =>
      each === author
        ? author.edits.length
        : Math.max(0, ...parents.map((p) => versions[p]![other]!))
    );
    authors.forEach((other, k) => other !== author && author.catchUp(other, version[k]!));
    author.type(patches);
    version[agent] = author.edits.length;
    versions.push(version);
  });
  const [first, ...others] = authors;
  for (const other of others) first!.catchUp(other, other.edits.length);
  if (first!.text.toString() !== endContent) throw new Error(`${name} does not end as it must`);
  const writers = authors.map(({ doc, edits }) => ({ id: doc.clientID, edits }));
  return { writers, doc: first!.doc, endContent };
}

/** A writer of a trace, with a document of its own. */
class Author {
  readonly doc = new Y.Doc();
  readonly text = this.doc.getText("text");
  readonly edits: Edit[] = [];
  #needs: ReadonlyMap<number, number> = new Map();
  /** How many edits it has of the others. */
  readonly #has = new Map<Author, number>();

  constructor(id: number) {
    this.doc.clientID = id;
    this.doc.on("update", (update, origin) => {
      if (origin instanceof Author) return;
      this.edits.push({ update, clock: Y.getState(this.doc.store, id), needs: this.#needs });
    });
  }

  type(patches: Transaction["patches"]): void {
    this.doc.transact(() => {
      for (const [at, deleted, inserted] of patches) {
        if (deleted > 0) this.text.delete(at, deleted);
        if (inserted !== "") this.text.insert(at, inserted);
      }
    });
  }

  /** Learns the first `count` edits of another. */
  catchUp(other: Author, count: number): void {
    const from = this.#has.get(other) ?? 0;
    if (from >= count) return;
    for (const { update } of other.edits.slice(from, count)) Y.applyUpdate(this.doc, update, other);
    this.#has.set(other, count);
    this.#needs = new Map(this.#needs).set(other.doc.clientID, other.edits[count - 1]!.clock);
  }
}

async function read(name: string): Promise<Trace> {
  const path = `${FOLDER}/${name}.json.gz`;
  try {
    const file = await Deno.open(path);
    return await new Response(file.readable.pipeThrough(new DecompressionStream("gzip"))).json();
  } catch (cause) {
    throw new Error(`no trace at ${path}; TESSERA_TRACES says where they lie`, { cause });
  }
}
