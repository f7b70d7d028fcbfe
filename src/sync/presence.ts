/**
 * Who is in a room, and where their cursor is. It keeps what y-protocols' own `Awareness` does not: whose
 * connection, and whose account, each client id is.
 */
import {
  encodeTold,
  type Entry,
  EntryList,
  GONE,
  type Heard,
  isGone,
  type RawEntry,
  readEntries,
  readState,
  type Told,
} from "./awareness.ts";
import type { Clock } from "../clock.ts";
import { Departed } from "./departed.ts";
import type { PresenceClock } from "./presence_clock.ts";

interface Client {
  /** The connection that the client id belongs to; null once that has gone. */
  owner: Owner | null;
  /** The account that it belongs to, while it is remembered. */
  did: string;
  /** When that account first used it, by the clock of presence. */
  since: number;
  /** The client's own clock, as its connection last said it; -1 before that. */
  own: number;
  /** The clock under which the peers here were last told of it. */
  told: number;
  /** The clock under which its own instance last told of it: of two instances, the later one knows better. */
  origin: number;
  state: string;
}

/** A connection. */
interface Owner {
  readonly did: string;
}

/** Another instance, as the owner of the clients that are connected there. */
class Elsewhere implements Owner {
  readonly did = "";
}

/** A page has one for each document, and another after a clash of ids. A flood of them would be kept for long. */
const MAX_CLIENTS = 32;

/** What an entry takes on the wire beside its state. */
const ENTRY_BYTES = 16;

/** Of so many accounts that have left, other instances are told whose ids theirs were. */
const MAX_TOLD_DEPARTED = 100;

/** The presence of one room. */
export class Presence {
  readonly #clients = new Map<number, Client>();
  readonly #owned = new Map<Owner, Set<number>>();
  readonly #elsewhere = new Map<string, Elsewhere>();
  readonly #departed = new Departed();
  /** Clients that the peers are to be told of. */
  readonly #news = new Set<number>();
  /** Everyone who is here; made when it is asked for, and kept until something changes. */
  #everyone: EntryList<Owner | null> | null = null;

  /** @param maxState The most bytes of a state. */
  constructor(
    private readonly clock: Clock,
    private readonly presenceClock: PresenceClock,
    private readonly maxState: number,
  ) {}

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
      own.push(readState(entry));
      this.#claim(owner, entry.clientId);
    }
    return { own, fault };
  }

  /** Takes what was read. Returns whether there is news in it. */
  update(owner: Owner, own: Heard[]): boolean {
    return own.map((entry) => this.#learn(owner, entry)).includes(true);
  }

  /** Forgets a connection. Returns whether that is news. */
  leave(owner: Owner): boolean {
    return this.#depart(owner, () => true);
  }

  /**
   * What the peers are to be told, since this was last asked: about `maxBytes` of it, and one client at
   * least. The rest comes next.
   */
  takeNews(maxBytes: number): EntryList<Owner | null> {
    const taken: number[] = [];
    let bytes = 0;
    for (const clientId of this.#news) {
      bytes += this.#clients.get(clientId)!.state.length + ENTRY_BYTES;
      if (bytes > maxBytes && taken.length > 0) break;
      taken.push(clientId);
    }
    for (const clientId of taken) this.#news.delete(clientId);
    const news = this.#list(taken);
    for (const clientId of this.#departed.forget(this.clock.uptime())) {
      if (this.#clients.get(clientId)?.owner !== null) continue;
      this.#clients.delete(clientId);
      this.#news.delete(clientId);
    }
    return news;
  }

  /** The peers are still to be told something. */
  get hasNews(): boolean {
    return this.#news.size > 0;
  }

  /**
   * To be called when peers have come, before they are told who is here: they may have been here before,
   * or elsewhere, and have forgotten the others' states but not their clocks.
   */
  renew(newcomers: Iterable<Owner>): void {
    const told = this.presenceClock.next();
    for (const client of this.#clients.values()) client.told = told;
    for (const owner of newcomers) {
      for (const clientId of this.#owned.get(owner) ?? []) {
        this.#clients.get(clientId)!.origin = told;
      }
    }
    this.#everyone = null;
  }

  /** Who is here, as a frame for one connection; null for nobody. */
  everyone(reader: Owner): Uint8Array | null {
    this.#everyone ??= this.#list(this.#clients.keys(), ({ state }) => state !== GONE);
    return this.#everyone.frameFor(reader, this.#ownOf(reader));
  }

  /** Who is here and who has left, as a frame for a connection that has missed some of that. */
  everyoneAndGone(reader: Owner): Uint8Array | null {
    return this.#list(this.#clients.keys()).frameFor(reader, this.#ownOf(reader));
  }

  /** A connection's own clients, with the clocks that they have themselves. */
  #ownOf(reader: Owner): Entry[] {
    return Array.from(this.#owned.get(reader) ?? [], (clientId) => {
      const { own, state } = this.#clients.get(clientId)!;
      return { clientId, clock: own, state };
    }).filter(({ clock, state }) => clock >= 0 && state !== GONE);
  }

  #list(clientIds: Iterable<number>, filter?: (client: Client) => boolean) {
    const byOwner = new Map<Owner | null, Entry[]>();
    for (const clientId of clientIds) {
      const client = this.#clients.get(clientId)!;
      if (filter !== undefined && !filter(client)) continue;
      const { owner, told, state } = client;
      const entries = byOwner.get(owner);
      const entry = { clientId, clock: told, state };
      if (entries === undefined) byOwner.set(owner, [entry]);
      else entries.push(entry);
    }
    return new EntryList(byOwner);
  }

  /**
   * Who is here by connections of this instance, and who has left it, for other instances to hear; null
   * for nobody.
   */
  local(): Uint8Array | null {
    const here: Told[] = [];
    for (const [owner, clientIds] of this.#owned) {
      if (owner instanceof Elsewhere) continue;
      for (const clientId of clientIds) {
        if (this.#clients.get(clientId)!.state !== GONE) here.push(this.#toTell(clientId));
      }
    }
    const departed = [...this.#departed.latest()].slice(-MAX_TOLD_DEPARTED);
    const all = [...here, ...departed.map((clientId) => this.#toTell(clientId))];
    return all.length > 0 ? encodeTold(all) : null;
  }

  #toTell(clientId: number): Told {
    const { origin, state, did, since } = this.#clients.get(clientId)!;
    return { clientId, clock: origin, state, did, since };
  }

  /** Takes what other instances tell, each of them all that it has. Returns whether there is news in it. */
  hear(all: Map<string, Told[]>): boolean {
    let isNews = false;
    // Who has gone comes first: somebody who has moved may be told of by both, and belongs to one.
    for (const [instance, owner] of this.#elsewhere) {
      const present = all.get(instance)?.filter(({ state }) => state !== GONE) ?? [];
      const here = new Set(present.map(({ clientId }) => clientId));
      if (this.#depart(owner, (clientId) => !here.has(clientId))) isNews = true;
      if (!all.has(instance)) this.#elsewhere.delete(instance);
    }
    for (const [instance, entries] of all) {
      const owner = this.#elsewhere.get(instance) ?? new Elsewhere();
      this.#elsewhere.set(instance, owner);
      for (const entry of entries) if (this.#adopt(owner, entry)) isNews = true;
    }
    return isNews;
  }

  /** Takes a client of another instance. Returns whether that is news. */
  #adopt(owner: Elsewhere, entry: Told): boolean {
    const { clientId, clock, state, did } = entry;
    const isNews = this.#settle(entry);
    const client = this.#clients.get(clientId);
    if (client?.did !== did || state === GONE) return isNews;
    // Ours stay ours, and of two others the one with the later news has it. Who was taken for gone with
    // its instance may come back with it.
    if (client.owner !== null && !(client.owner instanceof Elsewhere)) return isNews;
    const isLater = client.owner === null ? clock >= client.origin : clock > client.origin;
    if (!isLater) return isNews;
    this.#give(clientId, client, owner);
    client.origin = clock;
    client.state = state;
    this.#tell(clientId, client);
    return true;
  }

  /**
   * Of two accounts with one client id, it belongs to the one that had it first. Returns whether the
   * other one was visible here.
   */
  #settle({ clientId, clock, did, since }: Told): boolean {
    const client = this.#clients.get(clientId);
    if (client === undefined) {
      this.#add(clientId, { owner: null, did, since, origin: clock });
      this.#departed.add(clientId, did, this.clock.uptime());
      return false;
    }
    if (client.did === did || since >= client.since) return false;
    const wasSeen = client.state !== GONE;
    if (client.owner !== null) this.#owned.get(client.owner)?.delete(clientId);
    this.#departed.delete(clientId, client.did);
    this.#departed.add(clientId, did, this.clock.uptime());
    Object.assign(client, { owner: null, did, since, origin: clock, state: GONE });
    if (wasSeen) this.#tell(clientId, client);
    return wasSeen;
  }

  /** Whether the client id is this connection's, or nobody's whom it might be. */
  #isOrMayBeOf(owner: Owner, { clientId, state }: RawEntry): boolean {
    const client = this.#clients.get(clientId);
    if (client?.owner === owner) return true;
    if (isGone(state)) return false;
    if (client === undefined) return true;
    // A client that comes back, perhaps before its old connection was found dead, has used no other id
    // on its new one. Whoever has one of its own is repeating what it heard.
    return !this.#owned.has(owner) && client.did === owner.did;
  }

  /** Why an entry cannot be shown, for the one who sent it. */
  #faultOf(owner: Owner, { clientId, state }: RawEntry): string | null {
    if (state.length > this.maxState) {
      return `a state has at most ${this.maxState} bytes, and this one has ${state.length}`;
    }
    const theirs = this.#owned.get(owner);
    if (theirs === undefined || theirs.size < MAX_CLIENTS || theirs.has(clientId)) return null;
    return `a connection has at most ${MAX_CLIENTS} clients`;
  }

  /** The client id is this connection's, from now on. */
  #claim(owner: Owner, clientId: number): void {
    const client = this.#clients.get(clientId) ??
      this.#add(clientId, { owner: null, did: owner.did, since: this.presenceClock.next() });
    if (client.owner === owner) return;
    this.#give(clientId, client, owner);
    client.own = -1;
  }

  #add(
    clientId: number,
    known: Pick<Client, "owner" | "did" | "since"> & { origin?: number },
  ): Client {
    const client = { own: -1, told: 0, origin: -1, state: GONE, ...known };
    this.#clients.set(clientId, client);
    return client;
  }

  #give(clientId: number, client: Client, owner: Owner): void {
    if (client.owner !== null) this.#owned.get(client.owner)?.delete(clientId);
    else this.#departed.delete(clientId, client.did);
    client.owner = owner;
    this.#owned.set(owner, (this.#owned.get(owner) ?? new Set()).add(clientId));
  }

  /** Takes what a client says, if it is later than what it said before. Returns whether it is. */
  #learn(owner: Owner, { clientId, clock, state, said }: Heard): boolean {
    const client = this.#clients.get(clientId);
    if (client?.owner !== owner) return false; // it has become another's meanwhile
    const leaves = clock === client.own && state === GONE && client.state !== GONE;
    if (clock <= client.own && !leaves) return false;
    client.own = clock;
    client.state = isObject(said)
      ? JSON.stringify({ ...said, did: owner.did }) // whatever its client says
      : state;
    client.origin = this.#tell(clientId, client);
    return true;
  }

  /** The peers here are to be told of a client. Returns the clock that they are told. */
  #tell(clientId: number, client: Client): number {
    client.told = this.presenceClock.next();
    this.#news.add(clientId);
    this.#everyone = null;
    return client.told;
  }

  /** Takes from an owner those of its clients that have gone. Returns whether that is news. */
  #depart(owner: Owner, hasGone: (clientId: number) => boolean): boolean {
    let isNews = false;
    const clientIds = this.#owned.get(owner) ?? new Set();
    for (const clientId of [...clientIds].filter(hasGone)) {
      clientIds.delete(clientId);
      const client = this.#clients.get(clientId)!;
      client.owner = null;
      this.#departed.add(clientId, client.did, this.clock.uptime());
      if (client.state === GONE) continue;
      client.state = GONE;
      this.#tell(clientId, client);
      isNews = true;
    }
    if (clientIds.size === 0) this.#owned.delete(owner);
    return isNews;
  }
}

function isObject(said: unknown): said is Record<string, unknown> {
  return typeof said === "object" && said !== null && !Array.isArray(said);
}
