import * as Y from "yjs";
import type { Clock } from "../clock.ts";
import { type Document, readStateVector } from "./document.ts";
import { updateFrame } from "./frames.ts";
import type { Member } from "./member.ts";
import { Parts } from "./parts.ts";

/** How often a peer that is behind is looked at, in ms: a buffer of 1 MiB lasts a fast line about as long. */
const PUMP_MS = 20;

/**
 * How long in each such time parts of the document are made, in ms: one takes 1 ms, and ten times as long
 * where 20,000 clients have written.
 */
const TURN_MS = 15;

/** What a broadcast needs of its room. */
export interface BroadcastOptions {
  clock: Clock;
  members: ReadonlySet<Member>;
  /** The document; while a commit is under way it holds what is not durable. */
  document(): Document;
  isCommitting(): boolean;
  /** A member takes nothing any more. */
  onStuck(member: Member): void;
}

/** Brings a room's document to its members: what is new as it comes, and the whole at each one's pace. */
export class Broadcast {
  readonly #room: BroadcastOptions;
  readonly #parts: Parts;
  /** Counts the changes of the document. */
  #version = 0;
  /** Members that are behind are to be looked at: when the timer has run, or the commit is over. */
  #pump: "idle" | "timed" | "due" = "idle";
  /** Members that were behind, or were owed something, when they were last looked at. */
  readonly #slow = new Set<Member>();
  /** When parts were last begun to be made, and how long that has taken since, in ms. */
  #turn = { begun: -Infinity, spent: 0 };

  constructor(room: BroadcastOptions) {
    this.#room = room;
    this.#parts = new Parts(room.clock);
  }

  get version(): number {
    return this.#version;
  }

  /** Tells everyone about a change that is durable; its only author knows it already. */
  publish(update: Uint8Array, author?: Member): void {
    this.#version++;
    const frame = updateFrame(update);
    let stateVector: Uint8Array | null = null;
    const before = () => stateVector ??= stateVectorBefore(update, this.#room.document());
    for (const member of this.#room.members) {
      // Who is behind will get this with the rest.
      if (member === author || !member.delivery.live) continue;
      if (!member.outbox.hasRoom(frame.length)) this.#fallBehind(member, before());
      else {
        member.outbox.send(frame);
        if (member.outbox.full) this.#fallBehind(member, null);
      }
    }
  }

  /** Sends a member what it lacks. */
  sendFrom(member: Member, stateVector: Uint8Array): void {
    member.delivery.begin(stateVector, null);
    this.#deliver(member);
  }

  /** A member is owed something that its buffer has no room for: it is looked at again soon. */
  pumpSoon(member: Member): void {
    this.#slow.add(member);
    if (this.#pump !== "idle") return;
    this.#pump = "timed";
    this.#room.clock.after(PUMP_MS, () => {
      this.#pump = "due";
      if (!this.#room.isCommitting()) this.pumpIfDue();
    });
  }

  /** To be called whenever a commit is over. */
  pumpIfDue(): void {
    if (this.#pump !== "due") return;
    this.#pump = "idle";
    const slow = [...this.#slow];
    this.#slow.clear();
    const isLate = slow.findIndex((member) => {
      if (this.#room.members.has(member)) this.#deliver(member);
      return this.#turn.spent > TURN_MS;
    });
    if (isLate < 0) return;
    // Those for whom there was no time come first.
    const done = [...this.#slow];
    this.#slow.clear();
    for (const member of [...slow.slice(isLate + 1), ...done]) this.pumpSoon(member);
  }

  /** To be called every few seconds. */
  forgetOld(): void {
    this.#parts.forgetOld();
  }

  /** Goes on with what a member is still to be sent, as far as its pace allows. */
  #deliver(member: Member): void {
    const { delivery, outbox } = member;
    if (outbox.isStuck) return this.#room.onStuck(member);
    outbox.flush();
    const begun = this.#room.clock.uptime();
    if (begun - this.#turn.begun >= PUMP_MS) this.#turn = { begun, spent: 0 };
    const left = TURN_MS - this.#turn.spent;
    const isLive = delivery.goOn(
      this.#version,
      (from) => this.#parts.next(this.#room.document(), this.#version, from),
      () => this.#room.clock.uptime() - begun <= left,
    );
    this.#turn.spent += this.#room.clock.uptime() - begun;
    if (!isLive || outbox.isOwing || outbox.full) this.pumpSoon(member);
  }

  /** The peer has the document as it is now; or as it was `before` the latest change, with this state vector. */
  #fallBehind(member: Member, before: Uint8Array | null): void {
    if (before !== null) member.delivery.begin(before, this.#version - 1);
    else member.delivery.begin(this.#room.document().stateVector(), this.#version);
    this.pumpSoon(member);
  }
}

/** The state vector of a document before an update that was just applied, all of which was new to it. */
function stateVectorBefore(update: Uint8Array, document: Document): Uint8Array {
  const stateVector = readStateVector(document.stateVector());
  for (const [client, clock] of Y.parseUpdateMeta(update).from) {
    if (clock > 0) stateVector.set(client, clock);
    else stateVector.delete(client);
  }
  return Y.encodeStateVector(stateVector);
}
