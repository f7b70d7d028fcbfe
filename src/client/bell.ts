import type { World } from "./world.ts";

/** Wakes those who wait. */
export class Bell {
  readonly #waiting = new Set<() => void>();

  ring(): void {
    for (const wake of [...this.#waiting]) wake();
  }

  /** Resolves when it rings, or after `ms` milliseconds. @throws what the signal is aborted with */
  async wait(world: World, ms: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    await new Promise<void>((resolve) => {
      const wake = () => {
        cancel();
        signal.removeEventListener("abort", wake);
        this.#waiting.delete(wake);
        resolve();
      };
      const cancel = ms < LONGEST ? world.after(ms, wake) : () => {};
      signal.addEventListener("abort", wake);
      this.#waiting.add(wake);
    });
    signal.throwIfAborted();
  }
}

/** A timer that is set to more than this falls due at once. */
const LONGEST = 2 ** 31;
