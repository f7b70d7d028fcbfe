import { getLogger } from "@logtape/logtape";
import type { AccessPolicy } from "../access/policy.ts";
import type { Clock } from "../clock.ts";
import type { Premise } from "../store/room_store.ts";
import { Close } from "../sync/close.ts";
import type { Seat } from "../sync/room.ts";
import { levelOf } from "../store/errors.ts";

const logger = getLogger(["tessera", "socket"]);

/** How soon a policy that failed is asked again, in ms: a change has to be there within two seconds. */
const RETRY = 500;

/**
 * Whose role is not known for so long, in ms, is closed: it may have none any more. A policy that cannot
 * say for a minute is no hiccup, and its client comes back by itself.
 */
const PATIENCE = 60_000;

/** Everybody is looked at again in so many slices, lest they all are at once. */
const SLICES = 60;

/** What roles depend on. */
export interface RoleSource {
  policy: AccessPolicy;
  /** Whether a DID is certain not to exist any more. */
  isGone?(did: string): Promise<boolean>;
  /** How often everybody's role is looked at whether it has changed or not, in ms. */
  recheck: number;
}

/** Keeps the roles of all connections as the policy has them, while they last. */
export class RoleKeeper {
  readonly #rooms = new Map<string, Watched>();
  #slice = 0;
  #stop: (() => void) | null = null;

  constructor(private readonly source: RoleSource, private readonly clock: Clock) {}

  /** Keeps watch over a connection's role. Returns a function that ends it. */
  keep(did: string, room: string, seat: Seat): () => void {
    const watched = this.#rooms.get(room) ?? this.#watch(room);
    watched.add(did, seat);
    // What has changed since the handshake was told to nobody.
    if (this.source.policy.watch !== undefined) watched.check([did]);
    return () => {
      watched.remove(did, seat);
      if (!watched.empty) return;
      watched.stop();
      this.#rooms.delete(room);
      if (this.#rooms.size > 0) return;
      this.#stop?.();
      this.#stop = null;
    };
  }

  #keepChecking(): () => void {
    return this.clock.after(this.source.recheck / SLICES, () => {
      this.#slice = (this.#slice + 1) % SLICES;
      [...this.#rooms.values()].forEach((watched, n) => {
        if (n % SLICES === this.#slice) watched.checkAll();
      });
      this.#stop = this.#keepChecking();
    });
  }

  #watch(room: string): Watched {
    const watched = new Watched(room, this.source, this.clock);
    this.#rooms.set(room, watched);
    this.#stop ??= this.#keepChecking();
    return watched;
  }
}

/** The connections of one room. */
class Watched {
  /** By the DIDs of those who sit there. */
  readonly #seats = new Map<string, Set<Seat>>();
  readonly stop: () => void;
  /** Whose roles are to be looked at. */
  readonly #due = new Set<string>();
  /** Since when the policy cannot say what the roles of these are. */
  readonly #unknownSince = new Map<string, number>();
  #checking = false;
  /** What the roles follow from, as it was last seen. */
  #premise: Premise | undefined;

  constructor(
    private readonly room: string,
    private readonly source: RoleSource,
    private readonly clock: Clock,
  ) {
    this.stop = source.policy.watch?.(room, () => this.checkAll()) ?? (() => {});
  }

  get empty(): boolean {
    return this.#seats.size === 0;
  }

  add(did: string, seat: Seat): void {
    this.#seats.set(did, (this.#seats.get(did) ?? new Set()).add(seat));
  }

  remove(did: string, seat: Seat): void {
    const theirs = this.#seats.get(did);
    theirs?.delete(seat);
    if (theirs?.size !== 0) return;
    this.#seats.delete(did);
    this.#unknownSince.delete(did);
  }

  /** Looks at everybody's role. */
  checkAll(): void {
    this.check(this.#seats.keys());
  }

  /** Looks at the roles of these, and again after whatever happens on the way. */
  async check(dids: Iterable<string>): Promise<void> {
    for (const did of dids) this.#due.add(did);
    if (this.#checking) return;
    this.#checking = true;
    while (this.#due.size > 0) {
      const some = [...this.#due];
      this.#due.clear();
      if (!await this.#checkSome(some)) {
        await new Promise<void>((resolve) => this.clock.after(RETRY, resolve));
      }
    }
    this.#checking = false;
  }

  /** Whether the policy could say what all these roles are. */
  async #checkSome(dids: string[]): Promise<boolean> {
    const { policy } = this.source;
    let premise: Premise | undefined;
    try {
      premise = await policy.stateOf?.(this.room);
    } catch (error) {
      for (const did of dids) this.#noteUnknown(did, error);
      return false;
    }
    // If there is something new, it is new for everybody.
    const isNews = premise?.versionstamp !== this.#premise?.versionstamp;
    this.#premise = premise;
    const due = isNews ? [...this.#seats.keys()] : dids;
    const known = await Promise.all(due.map((did) => this.#checkOne(did, premise)));
    return !known.includes(false);
  }

  /** Whether the policy could say what the role is; if not, it is due again. */
  async #checkOne(did: string, premise: Premise | undefined): Promise<boolean> {
    if (!this.#seats.has(did)) return true;
    try {
      const { policy, isGone } = this.source;
      const role = await isGone?.(did) ? null : await policy.roleOf(did, this.room);
      this.#unknownSince.delete(did);
      for (const seat of this.#seats.get(did) ?? []) seat.become(role, premise);
      return true;
    } catch (error) {
      this.#noteUnknown(did, error);
      return false;
    }
  }

  #noteUnknown(did: string, error: unknown): void {
    if (!this.#seats.has(did)) return;
    const { room } = this;
    this.#due.add(did);
    const now = this.clock.uptime();
    const since = this.#unknownSince.get(did);
    if (since === undefined) {
      this.#unknownSince.set(did, now);
      logger[levelOf(error)]("the role of {did} in {room} is not known: {error}", {
        did,
        room,
        error,
      });
    } else if (now - since >= PATIENCE) {
      for (const seat of this.#seats.get(did) ?? []) {
        seat.expel(Close.TRY_AGAIN, "what you may do here cannot be found out now");
      }
    }
  }
}
