import type { Role } from "../../src/access/policy.ts";
import type { Clock } from "../../src/clock.ts";
import type { Seat } from "../../src/sync/room.ts";
import type { MemoryStore } from "../sync/memory_store.ts";
import type { Chance } from "./chance.ts";

/** How long it may take until a change is known at a seat, in ms. */
const NEWS_MS = 3_000;

const KEY = ["roles"];

/** Who may do what in a simulated world: it changes at once in the store, and is heard of later. */
export class Roles {
  readonly #roles = new Map<string, Role | null>();
  readonly #seats = new Map<Seat, string>();

  constructor(
    private readonly clock: Clock,
    private readonly chance: Chance,
    /** The disk that all instances share. */
    private readonly disk: () => MemoryStore["disk"],
  ) {}

  of(name: string): Role | null {
    return this.#roles.has(name) ? this.#roles.get(name)! : "writer";
  }

  set(name: string, role: Role | null): void {
    this.#roles.set(name, role);
    this.disk().touch(KEY);
    for (const seat of this.#seats.keys()) this.#tellSoon(seat);
  }

  /** Tells a seat what its peer may do, now and from now on. Returns a function that ends it. */
  keep(name: string, seat: Seat): () => void {
    this.#seats.set(seat, name);
    this.#tellSoon(seat);
    return () => this.#seats.delete(seat);
  }

  #tellSoon(seat: Seat): void {
    this.clock.after(this.chance.below(NEWS_MS), () => {
      const name = this.#seats.get(seat);
      if (name !== undefined) seat.become(this.of(name), this.disk().premise(KEY));
    });
  }
}
