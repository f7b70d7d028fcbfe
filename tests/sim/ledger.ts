/** What has been promised in a world, to be held against what is there. */
export class Ledger {
  /** How often the room was deleted. Each time, all that was promised is owed no more. */
  era = 0;
  /** Every word that was acknowledged in this era, to whomever. */
  acknowledged = new Set<string>();
  /** Every word that has ever been durable: whoever has it may bring it back. */
  readonly durable = new Set<string>();
  /** Words that were deleted, with the era that they were deleted in. */
  readonly erased = new Map<string, number>();

  /** Somebody who was not there when these words were deleted has brought them back. */
  bringBack(words: Iterable<string>): void {
    for (const word of words) this.erased.delete(word);
  }

  /** The room goes, with all these words. */
  erase(words: Iterable<string>): void {
    for (const word of words) this.erased.set(word, this.era);
    this.era++;
    this.acknowledged = new Set();
  }
}
