import type { Role } from "../access/policy.ts";

/** How long after it was told a peer may go on writing what is refused, in ms: an app has to notice first. */
const GRACE = 10_000;

/** What one peer may do in a room, and how it takes a no. */
export class Rights {
  #toldAt: number | null = null;

  constructor(readonly role: Role | null) {}

  get mayWrite(): boolean {
    return this.role === "owner" || this.role === "writer";
  }

  /** It has written though it may not: whether to `tell` it so, to let it `be`, or to `close` its line. */
  refuse(now: number): "tell" | "be" | "close" {
    if (this.#toldAt === null) {
      this.#toldAt = now;
      return "tell";
    }
    return now - this.#toldAt <= GRACE ? "be" : "close";
  }
}
