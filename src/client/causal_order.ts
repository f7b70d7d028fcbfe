/** Where a walk is with one client's structs, which follow each other. */
export interface Cursor<T> {
  readonly client: number;
  /** Everything below this clock has been passed. */
  readonly clock: number;
  readonly isDone: boolean;
  /** Calls `depend` with the id of each struct that the next one builds on. */
  dependencies(depend: (client: number, clock: number) => void): void;
  /** Moves on past the next struct, and returns it. */
  take(): T;
}

/** A walk along one client's structs. */
interface Walk<T> {
  cursor: Cursor<T>;
  /** The clock up to which it goes: that is what the walk below it waits for. */
  until: number;
}

/** The cursors of some structs, by client id. */
export interface Cursors<T> {
  get(client: number): Cursor<T> | undefined;
  values(): Iterable<Cursor<T>>;
}

/**
 * Takes the structs of all cursors, by client id, none before one that it builds on. (Where some build
 * on each other in a circle, which Yjs never makes, that can't be.)
 */
export function* inCausalOrder<T>(cursors: Cursors<T>): Iterable<T> {
  const waiting = new Set<number>();
  for (const first of cursors.values()) {
    const walks: Walk<T>[] = [{ cursor: first, until: Infinity }];
    while (walks.length > 0) {
      const { cursor, until } = walks.at(-1)!;
      if (cursor.isDone || cursor.clock > until) {
        waiting.delete(cursor.client);
        walks.pop();
        continue;
      }
      waiting.add(cursor.client);
      const next = missing(cursor, cursors, waiting);
      if (next === null) yield cursor.take();
      else walks.push(next);
    }
  }
}

/** What must be walked before the cursor's next struct can be taken. */
function missing<T>(
  cursor: Cursor<T>,
  cursors: Cursors<T>,
  waiting: ReadonlySet<number>,
): Walk<T> | null {
  let walk: Walk<T> | null = null;
  cursor.dependencies((client, clock) => {
    if (waiting.has(client)) return; // as the cursor itself is
    const other = cursors.get(client);
    if (other === undefined || other.isDone || other.clock > clock) return;
    walk = { cursor: other, until: clock };
  });
  return walk;
}
