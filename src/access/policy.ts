import type { Premise } from "../store/room_store.ts";

/** What a DID may do in a room. */
export type Role = "owner" | "writer" | "reader";

/** Decides who may do what. A policy of your own needs no more than `roleOf`. */
export interface AccessPolicy {
  /**
   * The role of a DID in a room; null when it has none.
   * @param address The network address of the request that asks. None when an open connection's role is checked.
   */
  roleOf(did: string, room: string, address?: string): Promise<Role | null>;
  /**
   * The same for who wants to come in, which may bring the room into being. Default: `roleOf`.
   */
  admit?(did: string, room: string, address?: string): Promise<Role | null>;
  /**
   * Calls back whenever somebody's role in the room may have changed, whoever changed it and on
   * whichever instance. Returns a function that stops it. A policy whose roles never change needs none.
   */
  watch?(room: string, onChange: () => void): () => void;
  /**
   * Something in the store that changes whenever a role in the room may have changed. What a peer writes
   * is then committed only if it is still as it was before its role was asked for: once a change is
   * made, nothing that contradicts it is stored, on whichever instance. Without it a change holds
   * from when it was heard of. Goes with `watch`.
   */
  stateOf?(room: string): Promise<Premise>;
}

/** Everyone who has proven who they are may write everywhere, as in Roomy's original. */
export const openPolicy: AccessPolicy = {
  roleOf: () => Promise.resolve("writer"),
};
