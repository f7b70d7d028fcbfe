import type { Awareness } from "y-protocols/awareness";
import type { TesseraProvider } from "../../client/mod.ts";

/** What DIDs are called. */
export interface Names {
  /** The name, if it was found out. */
  of(did: string): string | null;
  /** Resolves with the name, once it was found out. */
  find(did: string): Promise<string>;
}

/**
 * Names by DID. A handle counts when its DID document claims it and it leads back to the DID: that is
 * what ATProto calls verified (https://atproto.com/specs/handle#handle-resolution).
 */
export function createNames(verify: (did: string) => Promise<string | null>): Names {
  const known = new Map<string, string>();
  const asked = new Map<string, Promise<string>>();
  const look = async (did: string) => {
    const name = await verify(did).catch(() => null) ?? did;
    known.set(did, name);
    return name;
  };
  return {
    of: (did) => known.get(did) ?? null,
    find: (did) => {
      const answer = asked.get(did) ?? look(did);
      asked.set(did, answer);
      return answer;
    },
  };
}

/** Hues that are told apart, also on a dark ground. */
const HUES = [8, 28, 48, 95, 145, 172, 195, 215, 240, 270, 300, 335];

/** A colour for a DID, the same in every window. */
export function colorOf(did: string, alpha = 1): string {
  let hash = 0;
  for (const letter of did) hash = (Math.imul(hash, 31) + letter.charCodeAt(0)) >>> 0;
  return `hsl(${HUES[hash % HUES.length]} 62% 40% / ${alpha})`;
}

/**
 * Who is here, as an editor that draws names wants it: with the name of the DID that the service has
 * proven in the place of whatever somebody says, and without a cursor till that was found out.
 */
export function namedAwareness({ awareness }: TesseraProvider, names: Names): Awareness {
  const named = (state: Record<string, unknown>) => {
    const did = String(state.did);
    const name = names.of(did);
    if (name === null) return { did };
    return { ...state, user: { name, color: colorOf(did), colorLight: colorOf(did, 0.25) } };
  };
  awareness.on("change", ({ added }: { added: number[] }) => {
    for (const id of added) {
      const did = awareness.getStates().get(id)?.did;
      if (typeof did !== "string" || names.of(did) !== null) continue;
      const news = { added: [], updated: [id], removed: [] };
      names.find(did).then(() => awareness.emit("change", [news, "names"]));
    }
  });
  return Object.create(awareness, {
    getStates: {
      value: () =>
        new Map(
          [...awareness.getStates()].map(([id, state]) => [
            id,
            id === awareness.clientID ? state : named(state),
          ]),
        ),
    },
  });
}
