import { Document, PoisonedError } from "../sync/document.ts";
import { type Examination, examine } from "../store/kv/examine.ts";
import { repair } from "../store/kv/repair.ts";

/** What became of one room. */
export interface Finding {
  room: string;
  /** What is wrong with it, each in words; none for a room that is well. */
  faults: string[];
  /** What was done about it, in words. */
  repaired?: string;
  /** Why nothing could be done, or the room not be looked at. */
  error?: string;
}

/**
 * Looks at rooms, and tells of each what is wrong with it. With `repairAt`, in ms since the Unix epoch,
 * a room goes back to its snapshot and what can be read of its log, and what lay there is put aside.
 */
export async function* diagnose(
  kv: Deno.Kv,
  rooms: AsyncIterable<string> | Iterable<string>,
  repairAt: number | null,
): AsyncIterable<Finding> {
  for await (const room of rooms) {
    const finding: Finding = { room, faults: [] };
    try {
      const found = await examine(kv, room);
      const { document, left, faults } = rebuild(found);
      finding.faults = [...found.faults, ...faults];
      if (finding.faults.length > 0 && repairAt !== null) {
        await repair(kv, found, document.state(), repairAt);
        finding.repaired =
          `put together again from ${left} of ${found.updates.length} readable parts`;
      }
    } catch (error) {
      finding.error = error instanceof Error ? error.message : String(error);
    }
    yield finding;
  }
}

/** The document that can be made of what is readable, and what is wrong with that. */
function rebuild({ updates }: Examination): { document: Document; left: number; faults: string[] } {
  let document = new Document();
  const good: Uint8Array[] = [];
  for (const update of updates) {
    try {
      document.applyUnread([update]);
      good.push(update);
    } catch (error) {
      if (!(error instanceof PoisonedError)) throw error;
      document = new Document(); // the one that it broke is of no use any more
      document.apply(good);
    }
  }
  const faults: string[] = [];
  const bad = updates.length - good.length;
  if (bad > 0) faults.push(`${bad} of its updates cannot be applied`);
  if (document.dropPending()) faults.push("some of its updates build on what is not there");
  return { document, left: good.length, faults };
}
