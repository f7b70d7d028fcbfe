import type { Role } from "../access/policy.ts";
import type { Clock } from "../clock.ts";
import { Delivery } from "./delivery.ts";
import type { Document } from "./document.ts";
import { REFUTED } from "./doubt.ts";
import { deniedFrame, roleFrame, step1Frame } from "./frames.ts";
import { Outbox } from "./outbox.ts";
import { extents, type Outline } from "./outline.ts";
import type { Premise } from "../store/room_store.ts";
import type { Peer } from "./peer.ts";
import { Rights } from "./rights.ts";
import type { SendBudget } from "./send_budget.ts";

/**
 * Clients about whom a peer may have sent what the room lacks. A peer's own edits are about one, what
 * it relays about a few; what was written offline comes with all that it builds on.
 */
const MAX_GAP_CLIENTS = 1_000;

/** What each of them costs. */
const GAP_CLIENT_BYTES = 64;

/** After so many ranges of an update it is somebody else's turn: about 1 ms. */
const TURN_RANGES = 8_192;

/** A peer is not asked for what is missing more often: each question is as long as a document has clients. */
const ASK_MS = 1_000;

/** It has sent something that builds on what nobody here has, or that it may not write. */
interface Gap {
  /** What is missing: for each client id, the clock up to which its updates extend. */
  reach: Map<number, number>;
  /** Its updates that were not taken whole, and have not been looked at yet. */
  unread: number;
  /** Something is missing, or was refused, until it sends all that it has. */
  isOpen: boolean;
  /** So many questions of ours it has answered by then; Infinity until the last of them is asked. */
  answers: number;
  /** Its probes that wait till we have all of that. */
  echoes: Uint8Array[];
  /** The version at which it was last asked for the rest: asking the same again brings the same answer. */
  askedAt: number;
}

function newGap(): Gap {
  return { reach: new Map(), unread: 0, isOpen: false, answers: 0, echoes: [], askedAt: -1 };
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
  /** Bytes of its updates that wait. */
  waitingBytes = 0;
  /** It was told who is there. */
  greeted = false;
  /** It was told that not all of its presence is shown, and why. */
  knowsPresenceFault = false;
  /** Nothing more of what it has sent is taken. */
  isCut = false;
  /** Client ids of its own, as it says with its presence. */
  readonly clientIds = new Set<number>();
  #gap: Gap | null = null;
  #askedAt = -Infinity;
  #questions = 0;
  #answers = 0;
  /** Client ids of its own of which it is asked for everything: others may have written under them. */
  readonly #unproven = new Set<number>();

  /** @param onOwed Called when the peer is owed something that its buffer has no room for. */
  constructor(
    readonly peer: Peer,
    budget: SendBudget,
    private readonly clock: Clock,
    onOwed: (member: Member) => void,
  ) {
    this.rights = new Rights(peer.role);
    this.premise = peer.provisional ? REFUTED : null;
    this.outbox = new Outbox(peer, budget, clock, () => onOwed(this));
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
    this.outbox.answer("step1", () => {
      if (!this.rights.mayWrite) return null;
      this.#questions++;
      if (this.#gap?.answers === Infinity) this.#gap.answers = this.#questions;
      return step1Frame(document().stateVector(this.#unproven));
    });
  }

  /**
   * The next question is for all that it has of a client id, and it is acknowledged nothing until it has
   * answered that. Returns whether this is new.
   */
  doubt(client: number): boolean {
    if (this.#unproven.has(client)) return false;
    this.#unproven.add(client);
    this.#gap ??= newGap();
    this.#gap.isOpen = true;
    this.#gap.answers = Infinity;
    return true;
  }

  /** It has answered a question of ours. */
  noteAnswer(): void {
    this.#answers++;
  }

  /** Bytes that are kept on its behalf. */
  get held(): number {
    const gap = (this.#gap?.reach.size ?? 0) * GAP_CLIENT_BYTES;
    const question = this.question?.length ?? 0;
    return this.waitingBytes + this.outbox.held + this.delivery.held + question + gap;
  }

  /**
   * It has sent an update that was refused, or perhaps not taken whole: from now on it is acknowledged
   * nothing. `readGapInSteps` is to follow.
   */
  beginGap(isRefused: boolean): void {
    this.#gap ??= newGap();
    this.#gap.unread++;
    this.#gap.isOpen ||= isRefused;
  }

  /** Notes what of such an update the document lacks. Returns false if that is more than can be kept. */
  *readGapInSteps(document: Document, outline: Outline): Generator<undefined, boolean, undefined> {
    const gap = this.#gap!;
    let turnIn = TURN_RANGES;
    for (const extent of extents(outline)) {
      if (!document.covers(extent)) {
        const { client, end } = extent;
        gap.isOpen = true;
        gap.reach.set(client, Math.max(end, gap.reach.get(client) ?? 0));
        if (gap.reach.size > MAX_GAP_CLIENTS) return false;
      }
      if (--turnIn > 0) continue;
      turnIn = TURN_RANGES;
      yield;
    }
    gap.unread--;
    if (!gap.isOpen) this.#endGap();
    return true;
  }

  /** Asks for what is missing, unless it would say what it has said already. */
  askToFill(document: () => Document, version: number): void {
    if (this.#gap === null || this.#gap.askedAt === version || !this.rights.mayWrite) return;
    const now = this.clock.uptime();
    if (now - this.#askedAt < ASK_MS) return;
    this.#askedAt = now;
    this.#gap.askedAt = version;
    this.ask(document);
  }

  /** It has sent all that it has: if that reaches as far as what was missing, the gap is filled. */
  noteWhole(document: Document): void {
    if (this.#gap === null || this.#answers < this.#gap.answers) return;
    for (const [client, end] of this.#gap.reach) if (!document.covers({ client, end })) return;
    this.#endGap();
  }

  #endGap(): void {
    const { unread, echoes } = this.#gap!;
    if (unread > 0) return;
    this.#gap = null;
    this.#unproven.clear();
    for (const echo of echoes) this.outbox.echo(echo);
  }

  /** Acknowledges what it has sent before this probe, now or when that is all here. */
  acknowledge(echo: Uint8Array): void {
    if (this.#gap === null) this.outbox.echo(echo);
    else this.#gap.echoes.push(echo);
  }
}
