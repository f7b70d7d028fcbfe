import type { Doc, Transaction } from "yjs";
import type { Line } from "./line.ts";
import { probeFrame } from "./wire.ts";
import type { World } from "./world.ts";

/** How long the service may take to acknowledge before we look whether it is there, in ms. */
const PATIENCE = 5_000;

/**
 * What of a document the service has not acknowledged yet. A probe goes after each edit, one at a time,
 * and comes back once all before it is durable.
 */
export class Saving {
  /** How many changes there were that the service may not have; up to which of them it has them. */
  #changes: number;
  #saved = 0;
  /** The last of them that was made here: the others were read from somewhere, a database say. */
  #typed = 0;
  /** The probe under way. */
  #probe: number | null = null;
  #cancel = () => {};
  /** The service has been sent what it lacked when the line was opened. */
  #isCurrent = false;
  #isPlanned = false;
  readonly #onUpdate: (bytes: Uint8Array, origin: unknown, doc: Doc, by: Transaction) => void;

  constructor(
    private readonly doc: Doc,
    private readonly line: Line,
    private readonly world: World,
    private readonly onChange: () => void,
  ) {
    this.#changes = doc.store.clients.size > 0 ? 1 : 0;
    this.#onUpdate = (_bytes, origin, _doc, { local }) => {
      if (origin === line.origin) return;
      this.#changes++;
      if (local) this.#typed = this.#changes;
      this.onChange();
      this.#plan();
    };
    // The line has listened for longer, and so its update goes before our probe.
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

  /** The service has asked for what it lacks, and it was sent. */
  answered(): void {
    this.#isCurrent = true;
    this.#plan();
  }

  acknowledged(probe: number): void {
    if (probe !== this.#probe) return;
    this.#saved = probe;
    this.#forget();
    this.onChange();
    this.#plan();
  }

  /** The line has ended, and what was under way on it may be lost. */
  ended(): void {
    this.#isCurrent = false;
    this.#forget();
  }

  destroy(): void {
    this.#forget();
    this.doc.off("update", this.#onUpdate);
  }

  /** At the end of this turn, when all that is being done to the document is done. */
  #plan(): void {
    if (this.#isPlanned) return;
    this.#isPlanned = true;
    queueMicrotask(() => {
      this.#isPlanned = false;
      if (this.isPending && this.#isCurrent && this.#probe === null) this.#ask();
    });
  }

  #ask(): void {
    this.#probe = this.#changes;
    this.line.send(probeFrame(this.#probe));
    this.#cancel = this.world.after(PATIENCE, () => this.line.doubt());
  }

  #forget(): void {
    this.#cancel();
    this.#probe = null;
  }
}
