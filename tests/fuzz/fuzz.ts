import { Chance } from "../sim/chance.ts";
import { anyFrame } from "./frames.ts";
import { Victims } from "./victims.ts";

/** A room is left after so many frames: whatever they were taken for piles up in it. */
const FRAMES_A_ROOM = 500;

/** A frame that did harm. */
export interface Harm {
  /** What replays it. */
  seed: number;
  what: string;
  /** In base64. */
  frame: string;
}

/** Sends so many frames from a seed on, to a new room each five hundred. */
export async function fuzz(
  first: number,
  rooms: number,
): Promise<{ harms: Harm[]; slowest: number }> {
  const harms: Harm[] = [];
  let slowest = 0;
  for (let seed = first; seed < first + rooms; seed++) {
    const chance = new Chance(seed);
    const victims = new Victims();
    for (let n = 0; n < FRAMES_A_ROOM; n++) {
      const frame = anyFrame(chance);
      const what = await victims.take(frame) ?? (n % 50 === 0 ? await victims.check() : null);
      if (what === null) continue;
      // A pause of the runtime's own is not the frame's.
      if (/took/.test(what) && await new Victims().take(frame) === null) continue;
      harms.push({ seed, what, frame: frame.toBase64() });
      break;
    }
    slowest = Math.max(slowest, victims.slowest);
  }
  return { harms, slowest };
}
