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
  /** Its slices whose turn it is, and that are not stored yet. */
  slices: Slice[];
  /** Something of it was applied. */
  isBegun: boolean;
  /** Something was missing that a slice of it builds on. */
  isTorn: boolean;
}

/** Whether all of an update is in the document, as far as it can be. */
export function isDone({ read, slices }: Update): boolean {
  return read!.slices.done && slices.length === 0;
}

/** So many of the slices of these updates, one after the other, are stored. */
export function settle(updates: Update[], count: number): void {
  for (const update of updates) {
    const { length } = update.slices;
    update.slices = count >= length ? [] : update.slices.slice(count);
    update.isBegun ||= count > 0;
    count = Math.max(0, count - length);
  }
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

/** To apply updates of more bytes together takes a millisecond or more: the smallest structs have some 8 bytes. */
const HEAVY_BYTES = 8 * 1024;

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

  /** What is taken next may take milliseconds. */
  get areHeavy(): boolean {
    let bytes = 0;
    for (const arrival of this.#queue) {
      if (arrival.type !== "update" || this.#mustWait(arrival)) continue;
      bytes += arrival.update.length;
      if (bytes > HEAVY_BYTES) return true;
    }
    return false;
  }

  push(arrival: Arrival): void {
    this.#queue.push(arrival);
    if ("member" in arrival) arrival.member.waitingBytes += bytesOf(arrival);
  }

  has(test: (arrival: Arrival) => boolean): boolean {
    return this.#queue.some(test);
  }

  drop(arrival: Update): void {
    arrival.slices = [];
    if (!this.#queue.includes(arrival)) return;
    this.#queue = this.#queue.filter((other) => other !== arrival);
    release(arrival);
  }

  /** Drops all that a member sent and that was not taken yet. */
  dropOf(member: Member): void {
    member.isCut = true;
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
      } else if (arrival.type !== "update") {
        taken.push(arrival);
        release(arrival);
      } else if (arrival.read !== null && !isAllowed(arrival)) {
        release(arrival);
      } else {
        const isDue = arrival.read !== null && spent < weight;
        if (isDue) {
          if (arrival.slices.length === 0) arrival.slices = arrival.read!.slices.take(weight / 2);
          spent += arrival.slices.reduce((sum, slice) => sum + slice.weight, 0);
          taken.push(arrival);
        }
        if (isDue && arrival.read!.slices.done) {
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

  /**
   * To be called when what was taken is committed. Of an update for which there was no time what is left
   * of it goes back, before all that has come since, and so does what its author has sent after it.
   * Returns what is done.
   */
  putBack(taken: Arrival[]): Arrival[] {
    if (taken.every((arrival) => arrival.type !== "update" || arrival.slices.length === 0)) {
      return taken;
    }
    const late = new Set<Member>();
    const isLate = (arrival: Arrival) => {
      if (!isOrdered(arrival) || arrival.member.isCut) return false;
      if (arrival.type === "update" && arrival.slices.length > 0) late.add(arrival.member);
      return late.has(arrival.member);
    };
    const back = taken.filter(isLate);
    const gone = back.filter((arrival) => !this.#queue.includes(arrival));
    for (const arrival of gone) {
      if ("member" in arrival) arrival.member.waitingBytes += bytesOf(arrival);
    }
    this.#queue.unshift(...gone);
    return taken.filter((arrival) => !back.includes(arrival));
  }

  /** Whether it waits till its sender's rights are known again. */
  #mustWait(arrival: Arrival): boolean {
    return isOrdered(arrival) && this.isInDoubt(arrival.member);
  }
}
