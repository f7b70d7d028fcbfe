import { Backoff } from "./backoff.ts";
import { Bell } from "./bell.ts";
import type { World } from "./world.ts";

/** How many rooms of one app connect at once: each takes a call or two of HTTP, and browsers make six. */
const MOST = 4;

/**
 * The way to one service, which all rooms of an app share. While the service cannot be reached, one of
 * them tries it for all; once it can, they come a few at a time.
 */
export class Gate {
  readonly backoff: Backoff;
  readonly #freed = new Bell();
  #active = 0;

  private constructor(private readonly world: World) {
    this.backoff = new Backoff(world);
  }

  static #gates = new WeakMap<World, Map<string, Gate>>();

  /** The gate to a service, by its origin. */
  static to(origin: string, world: World): Gate {
    const gates = Gate.#gates.get(world) ?? new Map<string, Gate>();
    Gate.#gates.set(world, gates);
    const gate = gates.get(origin) ?? new Gate(world);
    gates.set(origin, gate);
    return gate;
  }

  /** Resolves when it is one's turn; {@linkcode leave} must follow. @throws what the signal is aborted with */
  async enter(signal: AbortSignal): Promise<void> {
    while (true) {
      await this.backoff.due(signal);
      const most = this.backoff.isFailing ? 1 : MOST;
      if (this.#active < most) break;
      await this.#freed.wait(this.world, Infinity, signal);
    }
    this.#active++;
    this.backoff.tried();
  }

  /** Whoever has entered has got through, or has not. */
  leave(): void {
    this.#active--;
    this.#freed.ring();
  }
}
