import type { Role } from "../access/policy.ts";
import type { Clock } from "../clock.ts";
import { Delivery } from "./delivery.ts";
import type { Document } from "./document.ts";
import { REFUTED } from "./doubt.ts";
import { deniedFrame, roleFrame, step1Frame } from "./frames.ts";
import { Outbox } from "./outbox.ts";
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
  /** The only way to the peer. */
  readonly outbox: Outbox;
  /** What it is still to be sent of the document. */
  readonly delivery: Delivery;
  /** The state vector of its last step 1, until that is answered. */
  question: Uint8Array | null = null;
  /** It was told who is there. */
  greeted = false;
  /** It was told that not all of its presence is shown, and why. */
  knowsPresenceFault = false;
  #gap: Gap | null = null;

  /** @param onOwed Called when the peer is owed something that its buffer has no room for. */
  constructor(readonly peer: Peer, clock: Clock, onOwed: (member: Member) => void) {
    this.rights = new Rights(peer.role);
    this.premise = peer.provisional ? REFUTED : null;
    this.outbox = new Outbox(peer, clock, () => onOwed(this));
    this.delivery = new Delivery(this.outbox);
  }

  /** Tells it what it may do from now on. */
  tellRole(role: Role): void {
    this.outbox.answer("role", () => roleFrame(role));
  }

  /** Tells it that what it has written is refused, and why. */
  tellRefusal(reason: string): void {
    this.outbox.answer("refusal", () => deniedFrame(reason));
  }

  /** Asks for what it has and the document lacks, unless it may not write that. */
  ask(document: () => Document): void {
    const frame = () => this.rights.mayWrite ? step1Frame(document().stateVector()) : null;
    this.outbox.answer("step1", frame);
  }

  /** It has sent what reaches so far, and not all of it is here: from now on it is acknowledged nothing. */
  noteGap(reach: Reach): void {
    this.#gap ??= { reach: new Map(), echoes: [], askedAt: -1 };
    for (const [client, end] of reach) {
      this.#gap.reach.set(client, Math.max(end, this.#gap.reach.get(client) ?? 0));
    }
  }

  /** Asks for what is missing, unless it would say what it has said already. */
  askToFill(document: () => Document, version: number): void {
    if (this.#gap === null || this.#gap.askedAt === version || !this.rights.mayWrite) return;
    this.#gap.askedAt = version;
    this.ask(document);
  }

  /** It has sent all that it has: if that reaches as far as what was missing, the gap is filled. */
  noteWhole(document: Document): void {
    if (this.#gap === null || !document.covers(this.#gap.reach)) return;
    const { echoes } = this.#gap;
    this.#gap = null;
    for (const echo of echoes) this.outbox.echo(echo);
  }

  /** Acknowledges what it has sent before this probe, now or when that is all here. */
  acknowledge(echo: Uint8Array): void {
    if (this.#gap === null) this.outbox.echo(echo);
    else this.#gap.echoes.push(echo);
  }
}
