/** What several rounds of one measurement say. */
export interface Summary {
  median: number;
  min: number;
  max: number;
}

/** Median and spread; NaN where there is nothing. */
export function summarize(values: number[]): Summary {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const median = sorted.length % 2 === 1
    ? sorted[middle]!
    : (sorted[middle - 1]! + sorted[middle]!) / 2;
  return { median, min: sorted.at(0) ?? NaN, max: sorted.at(-1) ?? NaN };
}
