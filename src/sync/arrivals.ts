import type { Member } from "./member.ts";
import type { Outline } from "./outline.ts";
import type { Slice, Slices } from "./slices.ts";

/** An edit that waits for its commit. */
export interface Update {
  type: "update";
  member: Member;
  update: Uint8Array;
  /** It is an answer to step 1: all that the room lacked. */
  whole: boolean;
  /** What is in it. A large one is read when its turn comes; null before that. */
  read: { outline: Outline; slices: Slices } | null;
  /** The slice of it whose turn it is; null before the first. */
  slice: Slice | null;
  /** Something was missing that a slice of it builds on. */
  isTorn: boolean;
}

/** What has arrived and waits for the commit before it. */
export type Arrival =
  | Update
  | { type: "refused"; member: Member; outline: Outline }
  | { type: "joined"; member: Member }
  | { type: "identified"; member: Member; client: number }
  | { type: "castOut"; member: Member }
  | { type: "step1"; member: Member }
  | { type: "syncStatus"; member: Member; echo: Uint8Array }
  | { type: "changed" };

/** Edits, and what their authors ask about them, are seen to in the order in which they came. */
type Ordered = Extract<Arrival, { type: "update" | "syncStatus" }>;

const isOrdered = (arrival: Arrival): arrival is Ordered =>
  arrival.type === "update" || arrival.type === "syncStatus";

/** Bytes of updates that are read in advance: what is known of one then may take ten times its bytes. */
const MAX_READ_BYTES = 8 * 1024 * 1024;

/** What an update costs beside its bytes while it waits. */
const UPDATE_OVERHEAD_BYTES = 512;

/** Bytes that an arrival keeps in memory. */
function bytesOf(arrival: Arrival): number {
  if (arrival.type === "update") return arrival.update.length + UPDATE_OVERHEAD_BYTES;
  return arrival.type === "refused" ? arrival.outline.update.length : 0;
}

/** It does not wait any more. */
function release(arrival: Arrival): void {
  if ("member" in arrival) arrival.member.waitingBytes -= bytesOf(arrival);
}

/** What has arrived in a room. */
export class Arrivals {
  #queue: Arrival[] = [];

  /** @param isInDoubt Whether somebody's edits have to wait till its rights are known. */
  constructor(private readonly isInDoubt: (member: Member) => boolean) {}

  get length(): number {
    return this.#queue.length;
  }

  /** Nothing can be taken now. */
  get mustAllWait(): boolean {
    return this.#queue.every((arrival) => this.#mustWait(arrival));
  }

  /** The next that is to be read, unless enough are that wait for their turn. */
  get unread(): Update | undefined {
    let readBytes = 0;
    for (const arrival of this.#queue) {
      if (arrival.type !== "update" || this.#mustWait(arrival)) continue;
      const { length } = arrival.update;
      if (arrival.read !== null) readBytes += length;
      else return readBytes === 0 || readBytes + length <= MAX_READ_BYTES ? arrival : undefined;
    }
    return undefined;
  }

  push(arrival: Arrival): void {
    this.#queue.push(arrival);
    if ("member" in arrival) arrival.member.waitingBytes += bytesOf(arrival);
  }

  has(test: (arrival: Arrival) => boolean): boolean {
    return this.#queue.some(test);
  }

  drop(arrival: Update): void {
    if (!this.#queue.includes(arrival)) return;
    this.#queue = this.#queue.filter((other) => other !== arrival);
    release(arrival);
  }

  /** Drops all that a member sent and that was not taken yet. */
  dropOf(member: Member): void {
    const isOf = (other: Arrival) => "member" in other && other.member === member;
    this.#queue.filter(isOf).forEach(release);
    this.#queue = this.#queue.filter((other) => !isOf(other));
  }

  clear(): void {
    this.#queue = [];
  }

  /**
   * Takes what is to be seen to next, of edits about as much as this weight. Of one that is larger than
   * half of that a slice is taken, and the rest waits: others come through beside it.
   * @param isAllowed Asked of each edit; one that is not goes, and is not taken. It may `push`.
   */
  take(weight: number, isAllowed: (update: Update) => boolean): Arrival[] {
    const taken: Arrival[] = [];
    const left: Arrival[] = [];
    const held = new Set<Member>();
    let spent = 0;
    for (const arrival of this.#queue) {
      if (this.#mustWait(arrival) || isOrdered(arrival) && held.has(arrival.member)) {
        left.push(arrival);
      } else if (arrival.type === "update" && arrival.read === null) {
        left.push(arrival);
        held.add(arrival.member);
      } else if (arrival.type !== "update") {
        taken.push(arrival);
        release(arrival);
      } else if (!isAllowed(arrival)) {
        release(arrival);
      } else {
        const isDue = spent < weight;
        if (isDue) {
          spent += nextSlice(arrival, weight / 2);
          taken.push(arrival);
        }
        if (isDue && arrival.read?.slices.done) {
          release(arrival);
          continue;
        }
        left.push(arrival);
        held.add(arrival.member);
      }
    }
    this.#queue = left;
    return taken;
  }

  /** Whether it waits till its sender's rights are known again. */
  #mustWait(arrival: Arrival): boolean {
    return isOrdered(arrival) && this.isInDoubt(arrival.member);
  }
}

/** Goes on to the next slice, and returns its weight. */
function nextSlice(update: Update, weight: number): number {
  update.slice = update.read!.slices.next(weight);
  return update.slice.weight;
}
