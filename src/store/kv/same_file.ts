import type { Clock } from "../../clock.ts";

/** How often the file is looked at, in ms: as often as an instance shows that it lives. */
const PERIOD = 3_000;

/**
 * Calls back once the file at `path` is no longer the one that it is now: somebody has deleted or
 * replaced it. SQLite goes on writing the old file, which is gone when the process ends. Returns a
 * function that stops it.
 */
export async function watchSameFile(
  path: string,
  clock: Clock,
  onLost: () => void,
): Promise<() => void> {
  const first = await identityOf(path);
  let stop = () => {};
  const wait = () => {
    stop = clock.after(PERIOD, async () => {
      wait();
      const now = await identityOf(path);
      if (now === undefined || now === first) return;
      stop();
      onLost();
    });
  };
  if (first) wait();
  return () => stop();
}

/** Its device and number; null where there is no such file, undefined where nobody can say. */
async function identityOf(path: string): Promise<string | null | undefined> {
  try {
    const { dev, ino } = await Deno.stat(path);
    return `${dev} ${ino}`;
  } catch (error) {
    return error instanceof Deno.errors.NotFound ? null : undefined;
  }
}
