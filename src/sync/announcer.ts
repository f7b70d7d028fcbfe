import { getLogger } from "@logtape/logtape";
import type { Clock } from "../clock.ts";
import type { PresenceBoard } from "../store/room_store.ts";
import { levelOf } from "../store/errors.ts";

const logger = getLogger(["tessera", "sync"]);

/** How soon the other instances are told again what they could not be told, in ms. */
const RETRY = 2_000;

/**
 * Tells other instances who is present here: of each room the latest, in order, and until the store
 * has taken it. Nobody else would take away what it holds of a room that has left memory.
 */
export class Announcer {
  /** What is still to be told. */
  readonly #latest = new Map<string, Uint8Array | null>();
  /** Rooms of which something is being told. */
  readonly #busy = new Set<string>();
  /** Rooms that somebody is known to be present in. */
  readonly #told = new Set<string>();
  readonly #pauses = new Set<() => void>();

  constructor(private readonly board: PresenceBoard, private readonly clock: Clock) {}

  /** Whether it matters who is in the room: others listen, or have heard of it before. */
  matters(room: string): boolean {
    return this.board.hasOthers || this.#told.has(room);
  }

  /** Tells who is present in a room now; null for nobody. */
  announce(room: string, present: Uint8Array | null): void {
    this.#latest.set(room, present);
    if (!this.#busy.has(room)) this.#tell(room);
  }

  /** Lets go of what it could not tell. */
  stop(): void {
    for (const cancel of this.#pauses) cancel();
  }

  async #tell(room: string): Promise<void> {
    this.#busy.add(room);
    for (let present; (present = this.#latest.get(room)) !== undefined;) {
      this.#latest.delete(room);
      // Before it is told: a failure may have come after the deed.
      this.#told.add(room);
      try {
        await this.board.publish(room, present);
        if (present === null) this.#told.delete(room);
      } catch (error) {
        logger[levelOf(error)]("other instances were not told who is in {room}: {error}", {
          room,
          error,
        });
        await this.#pause();
        if (!this.#latest.has(room)) this.#latest.set(room, present);
      }
    }
    this.#busy.delete(room);
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.clock.after(RETRY, () => {
        this.#pauses.delete(cancel);
        resolve();
      });
      this.#pauses.add(cancel);
    });
  }
}
