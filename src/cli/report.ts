import type { Outcome } from "./backup.ts";
import { Exit } from "./tool.ts";

/** Prints what becomes of each room, a line a room, and a sum. Resolves with the exit code. */
export async function report(done: string, outcomes: AsyncIterable<Outcome>): Promise<number> {
  let [rooms, failed] = [0, 0];
  for await (const { room, bytes, access, error } of outcomes) {
    if (error === undefined) {
      console.log(`${JSON.stringify(room)}: ${bytes} bytes ${done}${access ? `; ${access}` : ""}`);
      rooms++;
    } else {
      console.error(`${JSON.stringify(room)}: not ${done}: ${error}`);
      failed++;
    }
  }
  console.log(`${rooms} rooms ${done}, ${failed} not`);
  return failed === 0 ? Exit.well : Exit.wrong;
}
