/** A variable that looks like a setting and is none, and the setting that was meant. */
export interface UnknownSetting {
  name: string;
  nearest: string;
}

/** Shorter names are a letter or two away from too many others: `PATH` from `PORT`. */
const SHORTEST = 6;

/** Letters that are left out, added, wrong or swapped in a slip. */
const MOST_SLIPS = 3;

/**
 * Variables that are almost named as a setting. An environment holds many that are nobody's concern
 * here, so a name counts only if it is a setting's but for three letters, one in five, or for its
 * underscores.
 */
export function unknownSettings(names: Iterable<string>, settings: string[]): UnknownSetting[] {
  const found: UnknownSetting[] = [];
  for (const name of names) {
    if (settings.includes(name)) continue;
    const nearest = nearestTo(name, settings);
    if (nearest !== null) found.push({ name, nearest });
  }
  return found.sort((one, other) => one.name < other.name ? -1 : 1);
}

function nearestTo(name: string, settings: string[]): string | null {
  let [best, least] = [null as string | null, Infinity];
  for (const setting of settings) {
    if (bare(name) === bare(setting)) return setting;
    if (Math.min(name.length, setting.length) < SHORTEST) continue;
    const most = Math.min(MOST_SLIPS, Math.floor(setting.length / 5));
    const slips = distance(name.toUpperCase(), setting, most);
    if (slips <= most && slips < least) [best, least] = [setting, slips];
  }
  return best;
}

/** `logLevel`, `LOGLEVEL` and `LOG-LEVEL` are `LOG_LEVEL`. */
const bare = (name: string) => name.toUpperCase().replace(/[^A-Z0-9]/g, "");

/**
 * Letters to add, remove, change or swap with the next to get from one to the other (optimal string
 * alignment: https://en.wikipedia.org/wiki/Damerau–Levenshtein_distance); Infinity if over `most`.
 */
function distance(one: string, other: string, most: number): number {
  if (Math.abs(one.length - other.length) > most) return Infinity;
  let [before, last]: number[][] = [[], Array.from({ length: other.length + 1 }, (_, n) => n)];
  for (let i = 1; i <= one.length; i++) {
    const row = [i];
    for (let j = 1; j <= other.length; j++) {
      const isSame = one[i - 1] === other[j - 1];
      row[j] = Math.min(last![j]! + 1, row[j - 1]! + 1, last![j - 1]! + (isSame ? 0 : 1));
      const isSwapped = j > 1 && i > 1 && one[i - 1] === other[j - 2] &&
        one[i - 2] === other[j - 1];
      if (isSwapped) row[j] = Math.min(row[j]!, before![j - 2]! + 1);
    }
    [before, last] = [last, row];
  }
  return last!.at(-1)!;
}
