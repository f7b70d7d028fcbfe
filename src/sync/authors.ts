/**
 * Who has written under which Yjs client id, as far as it was seen. A client that comes back may have been
 * impersonated: it would send only what the document seems to lack, and never learn that something else
 * is stored in the place of what it wrote.
 */
export class Authors {
  /** The DID by client id; none where several have written, or nobody knows who. */
  readonly #known = new Map<number, string>();

  /**
   * Something of a client was written by a DID, or by several. `isFirst` says that the document had nothing
   * of it.
   */
  note(client: number, did: string | null, isFirst: boolean): void {
    if (isFirst && did !== null) this.#known.set(client, did);
    else if (this.#known.get(client) !== did) this.#known.delete(client);
  }

  /** Something of these clients was written by somebody whom nobody here has seen. */
  doubt(clients: Iterable<number>): void {
    for (const client of clients) this.#known.delete(client);
  }

  /** Nothing is known any more: the document was read anew. */
  clear(): void {
    this.#known.clear();
  }

  /** Whether all that is there of a client was written by this DID. */
  isOnly(client: number, did: string): boolean {
    return this.#known.get(client) === did;
  }
}
