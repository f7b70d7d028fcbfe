import type { Clock } from "../clock.ts";
import { Delivery } from "./delivery.ts";
import type { Document } from "./document.ts";
import { REFUTED } from "./doubt.ts";
import { step1Frame } from "./frames.ts";
import type { Reach } from "./outline.ts";
import type { Premise } from "../store/room_store.ts";
import type { Peer } from "./peer.ts";
import { Rights } from "./rights.ts";

/** It has sent something that builds on what nobody here has, or that it may not write. */
interface Gap {
  /** How far its updates extend. */
  reach: Reach;
  /** Its probes that wait till we have all of that. */
  echoes: Uint8Array[];
  /** The version at which it was last asked for the rest: asking the same again brings the same answer. */
  askedAt: number;
}

/** A peer in a room, and what the room knows of it. */
export class Member {
  rights: Rights;
  /** What its rights follow from; null where they follow from nothing that is in the store. */
  premise: Premise | null;
  /** What it is still to be sent of the document. */
  readonly delivery: Delivery;
  /** It was told who is there. */
  greeted = false;
  /** It was not told of changes of presence, for its buffer was full. */
  missedPresence = false;
  /** It was told that not all of its presence is shown, and why. */
  knowsPresenceFault = false;
  /** When it was last sent something. */
  #sentAt: number;
  #gap: Gap | null = null;

  constructor(readonly peer: Peer, private readonly clock: Clock) {
    this.rights = new Rights(peer.role);
    this.premise = peer.provisional ? REFUTED : null;
    this.delivery = new Delivery(this);
    this.#sentAt = clock.uptime();
  }

  get buffered(): number {
    return this.peer.buffered;
  }

  send(frame: Uint8Array): void {
    this.#sentAt = this.clock.uptime();
    this.peer.send(frame);
  }

  /** For how long it has heard nothing, in ms. */
  get silence(): number {
    return this.clock.uptime() - this.#sentAt;
  }

  /** It has sent what reaches so far, and not all of it is here: from now on it is acknowledged nothing. */
  noteGap(reach: Reach): void {
    this.#gap ??= { reach: new Map(), echoes: [], askedAt: -1 };
    for (const [client, end] of reach) {
      this.#gap.reach.set(client, Math.max(end, this.#gap.reach.get(client) ?? 0));
    }
  }

  /** Asks for what is missing, unless it would say what it has said already. */
  askToFill(document: Document, version: number): void {
    if (this.#gap === null || this.#gap.askedAt === version || !this.rights.mayWrite) return;
    this.#gap.askedAt = version;
    this.send(step1Frame(document.stateVector()));
  }

  /** It has sent all that it has: if that reaches as far as what was missing, the gap is filled. */
  noteWhole(document: Document): void {
    if (this.#gap === null || !document.covers(this.#gap.reach)) return;
    const { echoes } = this.#gap;
    this.#gap = null;
    for (const echo of echoes) this.send(echo);
  }

  /** Acknowledges what it has sent before this probe, now or when that is all here. */
  acknowledge(echo: Uint8Array): void {
    if (this.#gap === null) this.send(echo);
    else this.#gap.echoes.push(echo);
  }
}
