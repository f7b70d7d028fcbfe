import {
  applyAwarenessUpdate,
  type Awareness,
  encodeAwarenessUpdate,
  removeAwarenessStates,
} from "y-protocols/awareness";
import { awarenessFrame } from "./wire.ts";

type Send = (frame: Uint8Array<ArrayBuffer>) => void;

interface Changes {
  added: number[];
  updated: number[];
  removed: number[];
}

/** Tells the service who is here on this side, and the app who is there on the other. */
export class Presence {
  #send: Send | null = null;
  /** The client ids that this side has had. */
  readonly #own = new Set<number>();
  readonly #onUpdate: (changes: Changes, origin: unknown) => void;

  constructor(private readonly awareness: Awareness, private readonly onPeers: () => void) {
    this.#own.add(awareness.clientID);
    this.#onUpdate = ({ added, updated, removed }, origin) => {
      this.follow();
      if (origin === this) return;
      this.#tell([...added, ...updated, ...removed].filter((id) => this.#own.has(id)));
    };
    awareness.on("update", this.#onUpdate);
    awareness.on("change", onPeers);
  }

  /**
   * Takes the document's client id, if that has changed: Yjs takes a new one when somebody else uses
   * it, and a document that is put into another one takes the other's. The old one leaves.
   */
  follow(): void {
    const { awareness } = this;
    const { clientID: old, doc } = awareness;
    if (doc.clientID === old) return;
    const state = awareness.getLocalState();
    const meta = awareness.meta.get(old);
    if (meta) meta.clock++; // or the others would not believe that it has gone
    awareness.clientID = doc.clientID;
    this.#own.add(doc.clientID);
    removeAwarenessStates(awareness, [old], "local");
    if (state !== null) awareness.setLocalState(state);
  }

  /** A connection has opened: says who is here. */
  join(send: Send): void {
    this.#send = send;
    this.follow();
    if (this.awareness.getLocalState() !== null) this.show();
  }

  /** Says who is here, again. */
  show(): void {
    this.#tell([this.awareness.clientID]);
  }

  /** What the service says of who is there. */
  hear(entries: Uint8Array): void {
    this.follow();
    quietly(() => applyAwarenessUpdate(this.awareness, entries, this));
  }

  /** Says goodbye, if anybody hears it. The others are not known to be there any more. */
  leave(): void {
    const { awareness } = this;
    this.#tell([awareness.clientID], new Map());
    this.#send = null;
    const others = [...awareness.getStates().keys()].filter((id) => id !== awareness.clientID);
    quietly(() => removeAwarenessStates(awareness, others, this));
  }

  destroy(): void {
    this.awareness.off("update", this.#onUpdate);
    this.awareness.off("change", this.onPeers);
  }

  #tell(clients: number[], states = this.awareness.states): void {
    const known = clients.filter((id) => this.awareness.meta.has(id));
    if (this.#send === null || known.length === 0) return;
    this.#send(awarenessFrame(encodeAwarenessUpdate(this.awareness, known, states)));
  }
}

/** Does something that calls the app's listeners. What they throw is their fault, and stops nothing. */
export function quietly(act: () => void): void {
  try {
    act();
  } catch (error) {
    console.error("A listener of a Tessera provider failed:", error);
  }
}
