import type { Awareness } from "y-protocols/awareness";

/** Somebody else who is in the room, in one window of theirs. */
export interface Peer {
  /** The Yjs client id of that window. */
  clientId: number;
  /** Who it is: the service wrote that, whatever they say. */
  did: string;
  /** What they tell of themselves: their cursor, a colour. Only {@linkcode did} is proven. */
  state: Record<string, unknown>;
}

/** The others who are in a room. What has no DID has not come through the service. */
export function peersOf(awareness: Awareness): Peer[] {
  return [...awareness.getStates()].flatMap(([clientId, state]) => {
    if (clientId === awareness.clientID || typeof state.did !== "string") return [];
    return [{ clientId, did: state.did, state }];
  });
}
