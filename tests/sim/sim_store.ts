import type { Clock } from "../../src/clock.ts";
import type { Change, LogSize, RoomLog } from "../../src/store/room_store.ts";
import { MemoryStore } from "../sync/memory_store.ts";
import type { Chance } from "./chance.ts";

/** How ill a store is. */
export type Health = "well" | "ill" | "stalled" | "dead";

/** How often a store tells of everything, in ms, whatever was lost: the contract says within seconds. */
const HEALING = 10_000;

/** How often an instance shows that it lives, in ms. */
const BEAT = 3_000;

/** A byte here counts as so many, or no log would ever be long enough to be folded. */
const WEIGHT = 100;

/**
 * One instance's store in a simulated world: slow, at times failing, sometimes after it has done what
 * it was asked; and what it is told of other instances comes late, twice or not at all.
 */
export class SimStore extends MemoryStore {
  health: Health = "well";

  constructor(
    private readonly clock: Clock,
    private readonly chance: Chance,
    private readonly watchedRooms: string[],
    first?: MemoryStore,
  ) {
    super(first?.disk);
    this.before = () => this.#hesitate();
    this.after = () => this.#stumble();
    this.#heal();
    this.#live();
  }

  override log(room: string): RoomLog {
    const log = super.log(room);
    return {
      pull: () => log.pull(),
      append: (update, premise) => log.append(update, premise),
      compact: (snapshot) => log.compact(snapshot),
      get size() {
        return heavier(log.size);
      },
    };
  }

  override told(room: string, what: Change): void {
    if (this.health === "dead") return;
    if (this.chance.once(10)) return; // lost
    const times = this.chance.once(10) ? 2 : 1;
    for (let n = 0; n < times; n++) {
      this.clock.after(this.chance.below(100), () => super.told(room, what));
    }
  }

  /** The instance is gone: what it had begun never ends. */
  die(): void {
    this.health = "dead";
    this.close();
  }

  async #hesitate(): Promise<void> {
    const { health } = this;
    if (health === "dead") return await new Promise(() => {});
    const wait = health === "stalled" ? 5_000 : this.chance.below(20);
    await new Promise<void>((resolve) => this.clock.after(wait, resolve));
    if (this.health === "dead") return await new Promise(() => {}); // it died on the way
    if (health === "ill" && this.chance.once(2)) throw new Error("the store is ill");
  }

  async #stumble(): Promise<void> {
    if (this.health === "ill" && this.chance.once(3)) {
      throw new Error("the store did it, and does not know");
    }
    await new Promise<void>((resolve) => this.clock.after(this.chance.below(20), resolve));
    if (this.health === "dead") await new Promise(() => {});
  }

  #live(): void {
    this.clock.after(BEAT, () => {
      if (this.health === "dead") return;
      if (this.health === "well") this.beat();
      this.#live();
    });
  }

  #heal(): void {
    this.clock.after(HEALING, () => {
      if (this.health === "dead") return;
      for (const room of this.watchedRooms) {
        super.told(room, "log");
        super.told(room, "presence");
      }
      this.#heal();
    });
  }
}

function heavier({ snapshotBytes, entries, bytes }: LogSize): LogSize {
  return {
    snapshotBytes: snapshotBytes * WEIGHT,
    entries: entries * WEIGHT,
    bytes: bytes * WEIGHT,
  };
}
