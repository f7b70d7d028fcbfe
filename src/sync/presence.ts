/**
 * Who is in a room, and where their cursor is: the awareness protocol of y-protocols
 * (https://github.com/yjs/y-protocols/blob/master/awareness.js), seen from the server. It keeps what
 * y-protocols' own `Awareness` does not: whose connection each client id is.
 */
import { createDecoder } from "lib0/decoding";
import * as encoding from "lib0/encoding";
import { decodeUtf8 } from "lib0/string";
import { BadFrameError } from "./frames.ts";
import { readBytes, readUint } from "./varint.ts";

/** One client's state, as it goes over the wire. */
interface Entry {
  clientId: number;
  clock: number;
  /** JSON; `null` when the client has gone. */
  state: string;
}

/** An entry as it came. Most are repetitions of others, and are not looked into. */
interface Raw {
  clientId: number;
  clock: number;
  /** JSON in UTF-8. */
  state: Uint8Array;
}

/** What a connection says of a client of its own. */
export interface Heard extends Entry {
  /** What the state says. */
  said: unknown;
}

interface Client {
  /** The connection that the client id belongs to; null once that has gone. */
  owner: Owner | null;
  /** Its own clock with the shift: of two instances that tell of it, the later one knows better. */
  clock: number;
  state: string;
  /** Added to the client's own clock when it comes, so that who comes back is news to everyone. */
  shift: number;
  /** Added for the peers here, so that it is news to whoever of them has come back. */
  lift: number;
}

/** A client, as one instance tells another. */
interface Told extends Entry {
  shift: number;
}

/** A connection. */
interface Owner {
  readonly did?: string;
}

/** Another instance, as the owner of the clients that are connected there. */
class Elsewhere implements Owner {}

const GONE = "null";
const GONE_BYTES = new TextEncoder().encode(GONE);

/** A page has one for each document, and another after a clash of ids. A flood of them would be kept for long. */
const MAX_CLIENTS = 32;

/**
 * How many departed clients are remembered. Their clocks make a return news, and keep a late echo of
 * them from raising a ghost; after a thousand more departures no echo is under way any longer.
 */
const MAX_DEPARTED = 1_000;

/**
 * A state a millisecond for seven weeks. Clocks grow with each return of a client, and numbers end at
 * 2^53: two million returns are left.
 */
const MAX_CLOCK = 2 ** 32;

/** An awareness message about nobody: nothing to any client but a sign that the line is alive. */
export const NOBODY: Uint8Array = encodeEntries([]);

/** The presence of one room. */
export class Presence {
  readonly #clients = new Map<number, Client>();
  readonly #owned = new Map<Owner, Set<number>>();
  readonly #elsewhere = new Map<string, Elsewhere>();
  readonly #departed: number[] = [];

  /** `era` is {@linkcode PresenceBoard.era}; a state has at most `maxState` bytes. */
  constructor(private readonly era: () => number, private readonly maxState: number) {}

  /**
   * Reads what a connection says of its own clients, and why some of it cannot be shown, if so.
   * Entries for client ids of other connections are passed over: y-websocket repeats what it heard.
   * @throws {BadFrameError}
   */
  read(owner: Owner, bytes: Uint8Array): { own: Heard[]; fault: string | null } {
    const own: Heard[] = [];
    let fault: string | null = null;
    for (const entry of readEntries(bytes)) {
      if (!this.#isOrMayBeOf(owner, entry)) continue;
      const why = this.#faultOf(owner, entry);
      if (why !== null) {
        fault = why;
        continue;
      }
      own.push(look(entry));
      this.#claim(owner, entry);
    }
    return { own, fault };
  }

  /**
   * Takes what was read. Returns what the others should hear, and what the sender should: its own
   * states just as it sent them, since a lone y-websocket lives on that echo.
   */
  update(owner: Owner, own: Heard[]): { news: Uint8Array | null; echo: Uint8Array | null } {
    const news = own.map((entry) => this.#learn(owner, entry)).filter((entry) => entry !== null);
    return { news: encodeSome(news), echo: encodeSome(own) };
  }

  /** Forgets a connection. Returns what the others should hear, if anything. */
  leave(owner: Owner): Uint8Array | null {
    return encodeSome(this.#depart(owner, () => true));
  }

  /**
   * Everyone who is here, for a peer that has just come; null when nobody is. It may have been here
   * before, or elsewhere, and have forgotten their states but not their clocks.
   */
  everyone(reader: Owner): Uint8Array | null {
    return encodeSome(this.#raised(reader).filter(({ state }) => state !== GONE));
  }

  /** Everyone who is here and who has left, for a peer that has missed some of that. */
  everyoneAndGone(reader: Owner): Uint8Array | null {
    return encodeSome(this.#raised(reader));
  }

  /** As `#entries`, with clocks that are news to a peer that was here before. */
  #raised(reader: Owner): Entry[] {
    const shift = this.#newShift();
    for (const client of this.#clients.values()) {
      client.lift = Math.max(client.lift, shift - client.shift);
    }
    return this.#entries(reader);
  }

  /** As a connection should hear it: of its own clients the clocks that they have themselves. */
  #entries(reader: Owner): Entry[] {
    return Array.from(this.#clients, ([clientId, { owner, clock, shift, lift, state }]) => ({
      clientId,
      clock: owner === reader ? clock - shift : clock + lift, // with a later one it would take up its old state
      state,
    }));
  }

  /** Those who are here by connections of this instance, for other instances to hear; null for nobody. */
  local(): Uint8Array | null {
    const here: Told[] = [];
    for (const [owner, clientIds] of this.#owned) {
      if (owner instanceof Elsewhere) continue;
      for (const clientId of clientIds) {
        const { clock, state, shift } = this.#clients.get(clientId)!;
        if (state !== GONE) here.push({ clientId, clock, state, shift });
      }
    }
    return here.length > 0 ? encodeTold(here) : null;
  }

  /**
   * Takes what other instances tell, each of them all that it has. Returns what the peers here should
   * hear, if anything.
   */
  hear(told: Map<string, Uint8Array>): Uint8Array | null {
    const present = new Map(Array.from(told, ([instance, bytes]) => [instance, decodeTold(bytes)]));
    const news: Entry[] = [];
    // Who has gone comes first: somebody who has moved may be told of by both, and belongs to one.
    for (const [instance, owner] of this.#elsewhere) {
      const here = new Set(present.get(instance)?.map(({ clientId }) => clientId));
      news.push(...this.#depart(owner, (clientId) => !here.has(clientId)));
      if (!present.has(instance)) this.#elsewhere.delete(instance);
    }
    for (const [instance, entries] of present) {
      const owner = this.#elsewhere.get(instance) ?? new Elsewhere();
      this.#elsewhere.set(instance, owner);
      news.push(
        ...entries.map((entry) => this.#adopt(owner, entry)).filter((each) => each !== null),
      );
    }
    return encodeSome(news);
  }

  /** A client of another instance: ours stay ours, and of two others the one with the later news has it. */
  #adopt(owner: Elsewhere, { clientId, clock, state, shift }: Told): Entry | null {
    const client = this.#clients.get(clientId);
    if (client !== undefined) {
      if (client.owner !== null && !(client.owner instanceof Elsewhere)) return null;
      // Who was taken for gone with its instance may come back with it.
      const isNews = client.owner === null ? clock >= client.clock : clock > client.clock;
      if (!isNews) return null;
      if (client.owner !== null) this.#owned.get(client.owner)?.delete(clientId);
    }
    const told = client === undefined ? -1 : client.clock + client.lift;
    const lift = Math.max(this.#newShift() - shift, told + 1 - clock, 0);
    this.#clients.set(clientId, { owner, clock, state, shift, lift });
    this.#owned.set(owner, (this.#owned.get(owner) ?? new Set()).add(clientId));
    return { clientId, clock: clock + lift, state };
  }

  /** Whether the client id is this connection's, or nobody's whom it might be. */
  #isOrMayBeOf(owner: Owner, { clientId, state }: Raw): boolean {
    const client = this.#clients.get(clientId);
    if (client?.owner === owner) return true;
    if (isGone(state)) return false;
    if (client === undefined) return true;
    // A client that comes back, perhaps before its old line was found dead, has used no other id
    // on its new one. Whoever has one of its own is repeating what it heard.
    if (this.#owned.has(owner)) return false;
    return client.owner === null || mayBe(owner, client.owner);
  }

  /** Why an entry cannot be shown, for the one who sent it. */
  #faultOf(owner: Owner, { clientId, clock, state }: Raw): string | null {
    if (clock > MAX_CLOCK) return `a clock is at most ${MAX_CLOCK}, and this one is ${clock}`;
    if (state.length > this.maxState) {
      return `a state has at most ${this.maxState} bytes, and this one has ${state.length}`;
    }
    const theirs = this.#owned.get(owner);
    if (theirs === undefined || theirs.size < MAX_CLIENTS || theirs.has(clientId)) return null;
    return `a connection has at most ${MAX_CLIENTS} clients`;
  }

  /** The client id is this connection's, from now on. */
  #claim(owner: Owner, { clientId, clock }: Raw): void {
    const client = this.#clients.get(clientId);
    if (client?.owner === owner) return;
    if (client === undefined) {
      this.#clients.set(clientId, {
        owner,
        clock: -1,
        state: GONE,
        shift: this.#newShift(),
        lift: 0,
      });
    } else {
      if (client.owner !== null) this.#owned.get(client.owner)?.delete(clientId);
      client.owner = owner;
      client.shift = Math.max(this.#newShift(), client.clock + client.lift + 1 - clock);
      client.lift = 0;
    }
    this.#owned.set(owner, (this.#owned.get(owner) ?? new Set()).add(clientId));
  }

  /**
   * Whom we have never seen others may know, by another instance or from before a restart, and would
   * take no news of with a clock that they have heard. That was of an earlier era; and they have heard
   * one more when it left.
   */
  #newShift(): number {
    return 2 * this.era();
  }

  /** The entry as others should hear it, or null when they know, or it has become another's meanwhile. */
  #learn(owner: Owner, { clientId, clock, state, said }: Heard): Entry | null {
    const client = this.#clients.get(clientId);
    if (client?.owner !== owner) return null;
    const shifted = clock + client.shift;
    const leaves = shifted === client.clock && state === GONE && client.state !== GONE;
    if (shifted <= client.clock && !leaves) return null;
    client.clock = shifted;
    client.state = owner.did !== undefined && isObject(said)
      ? JSON.stringify({ ...said, did: owner.did }) // whatever its client says
      : state;
    return { clientId, clock: shifted + client.lift, state: client.state };
  }

  /** Takes from an owner those of its clients that have gone. Returns what others should hear. */
  #depart(owner: Owner, hasGone: (clientId: number) => boolean): Entry[] {
    const gone: Entry[] = [];
    const clientIds = this.#owned.get(owner) ?? new Set();
    for (const clientId of [...clientIds].filter(hasGone)) {
      clientIds.delete(clientId);
      const client = this.#clients.get(clientId)!;
      client.owner = null;
      this.#departed.push(clientId);
      if (client.state === GONE) continue;
      client.state = GONE;
      gone.push({ clientId, clock: client.clock + ++client.lift, state: GONE });
    }
    if (clientIds.size === 0) this.#owned.delete(owner);
    this.#forgetOldest();
    return gone;
  }

  #forgetOldest(): void {
    while (this.#departed.length > MAX_DEPARTED) {
      const clientId = this.#departed.shift()!;
      if (this.#clients.get(clientId)?.owner === null) this.#clients.delete(clientId);
    }
  }
}

function isObject(said: unknown): said is Record<string, unknown> {
  return typeof said === "object" && said !== null && !Array.isArray(said);
}

/** Whether a newcomer may be who is there already. What another instance is told, it has checked. */
function mayBe(newcomer: Owner, present: Owner): boolean {
  return present instanceof Elsewhere || present.did === newcomer.did;
}

function encodeSome(entries: Entry[]): Uint8Array | null {
  return entries.length > 0 ? encodeEntries(entries) : null;
}

function encodeEntries(entries: Entry[]): Uint8Array {
  return encoding.encode((encoder) => {
    encoding.writeVarUint(encoder, entries.length);
    for (const { clientId, clock, state } of entries) {
      encoding.writeVarUint(encoder, clientId);
      encoding.writeVarUint(encoder, clock);
      encoding.writeVarString(encoder, state);
    }
  });
}

/** As instances tell each other: an awareness message, then the shift of each entry. */
function encodeTold(entries: Told[]): Uint8Array {
  return encoding.encode((encoder) => {
    encoding.writeVarUint8Array(encoder, encodeEntries(entries));
    for (const { shift } of entries) encoding.writeVarUint(encoder, shift);
  });
}

function decodeTold(bytes: Uint8Array): Told[] {
  const decoder = createDecoder(bytes);
  return readEntries(readBytes(decoder)).map(({ state, ...entry }) => ({
    ...entry,
    state: decodeUtf8(state),
    shift: readUint(decoder),
  }));
}

/** @throws {BadFrameError} */
function readEntries(bytes: Uint8Array): Raw[] {
  return orBadFrame(() => {
    const decoder = createDecoder(bytes);
    const entries: Raw[] = [];
    for (let left = readUint(decoder); left > 0; left--) {
      const clientId = readUint(decoder);
      const clock = readUint(decoder);
      entries.push({ clientId, clock, state: readBytes(decoder) });
    }
    return entries;
  });
}

/** Every client will parse a state: none may choke on it. @throws {BadFrameError} */
function look({ clientId, clock, state }: Raw): Heard {
  return orBadFrame(() => {
    const text = decodeUtf8(state);
    const said: unknown = JSON.parse(text);
    return { clientId, clock, state: said === null ? GONE : text, said };
  });
}

function orBadFrame<T>(read: () => T): T {
  try {
    return read();
  } catch {
    throw new BadFrameError("the awareness message cannot be read");
  }
}

function isGone(state: Uint8Array): boolean {
  return state.length === GONE_BYTES.length && state.every((byte, n) => byte === GONE_BYTES[n]);
}
