import { removeAwarenessStates } from "y-protocols/awareness";
import type { Clock } from "../../src/clock.ts";
import { Close } from "../../src/sync/close.ts";
import type { Peer } from "../../src/sync/peer.ts";
import type { Rooms } from "../../src/sync/rooms.ts";
import { TestPeer } from "../sync/test_peer.ts";
import type { Chance } from "./chance.ts";
import type { Ledger } from "./ledger.ts";
import { Line } from "./line.ts";
import type { Roles } from "./roles.ts";

/** A byte that waits counts as so many, or no buffer here would ever be full. */
const WEIGHT = 8_000;

/** How often a client says again that it is there, in ms: y-protocols does it after half of 30 s. */
const RENEWAL = 15_000;

/** What a peer's world is made of. */
export interface Surroundings {
  clock: Clock;
  chance: Chance;
  ledger: Ledger;
  roles: Roles;
}

/** A connection, as the peer sees it. */
interface Connection {
  rooms: Rooms;
  down: Line;
  /** The era that it was made in. */
  era: number;
  /** The peer's own words that went out on it. */
  sent: string[];
  /** By the number of a probe, the words that went out before it. */
  probes: Map<number, string[]>;
  /** What the peer must have when it is told that it is synced. */
  owed: Set<string>;
  hangUp(): void;
}

/**
 * A client in a simulated world. Every edit of its own puts one word of its own into a list, so that
 * what was acknowledged can be looked for word by word.
 */
export class SimPeer extends TestPeer {
  readonly acknowledged = new Set<string>();
  readonly words = this.doc.getArray<string>("words");
  /** What went wrong on the way. */
  readonly faults: string[] = [];
  /** The room has been deleted: whoever this is starts over, with another document. */
  isDeleted = false;
  /** The most bytes that ever waited for it. */
  mostWaiting = 0;
  /** The era in which it began. */
  readonly born: number;
  #connection: Connection | null = null;
  #own: string[] = [];
  #probe = 0;

  constructor(
    readonly name: string,
    private readonly surroundings: Surroundings,
    /** How many words it has written in its earlier lives. */
    private readonly wordsBefore = 0,
  ) {
    super(`did:${name}`);
    this.doc.clientID = this.awareness.clientID = 1 + surroundings.chance.below(2 ** 31);
    this.awareness.states.clear();
    this.awareness.setLocalState({ name });
    this.born = surroundings.ledger.era;
    this.#renew();
  }

  #renew(): void {
    this.surroundings.clock.after(RENEWAL, () => {
      this.awareness.setLocalState(this.awareness.getLocalState());
      if (this.online) this.announce();
      this.#renew();
    });
  }

  /** The same person, after the room was deleted. */
  reborn(): SimPeer {
    return new SimPeer(this.name, this.surroundings, this.#wordsWritten);
  }

  /** The instance that it is connected to. */
  get rooms(): Rooms | null {
    return this.#connection?.rooms ?? null;
  }

  get online(): boolean {
    return this.#connection !== null;
  }

  /** Connects to an instance, if it may; both directions take their time, and the way down perhaps much of it. */
  connect(rooms: Rooms, room: string): void {
    const { clock, chance, ledger, roles } = this.surroundings;
    const role = roles.of(this.name);
    if (role === null) return;
    const up = new Line(clock, chance);
    const down = new Line(clock, chance, chance.once(3) ? 1 + chance.below(5) : 0);
    const there: Peer = {
      did: this.did,
      role,
      provisional: true,
      get buffered() {
        return down.waiting * WEIGHT;
      },
      send: (frame) => {
        down.carry(frame.length, () => this.send(frame));
        this.mostWaiting = Math.max(this.mostWaiting, down.waiting * WEIGHT);
      },
      close: (code, reason) =>
        down.carry(0, () => {
          up.cut();
          this.close(code, reason);
        }),
    };
    // A room that is not in memory is read: it has all that anybody was ever told is saved.
    const owed = rooms.size === 0 ? ledger.acknowledged : acknowledgedBy(rooms, ledger);
    const seat = rooms.join(room, there);
    const stopKeeping = roles.keep(this.name, seat);
    const connection: Connection = {
      rooms,
      down,
      era: ledger.era,
      sent: [],
      probes: new Map(),
      owed: new Set(owed),
      hangUp: () => this.leave(),
    };
    this.#connection = connection;
    this.closed = null;
    this.sit({
      receive: (frame) =>
        up.carry(frame.length, () => {
          // It may not have been told of the deletion yet.
          if (ledger.era > this.born) ledger.bringBack(this.words.toJSON());
          seat.receive(frame);
        }),
      leave: () => {
        up.cut();
        down.cut();
        // The other side learns of it later.
        clock.after(chance.below(5_000), async () => {
          await seat.leave();
          stopKeeping();
        });
      },
    });
    this.askForAll();
    this.announce();
  }

  /** Hangs up, and forgets who was there, as y-websocket does. */
  disconnect(): void {
    this.#connection?.hangUp();
    this.#connection = null;
    const others = [...this.awareness.getStates().keys()].filter((id) => id !== this.doc.clientID);
    removeAwarenessStates(this.awareness, others, this);
  }

  /** Takes nothing for a while, in ms. */
  standStill(ms: number): void {
    this.#connection?.down.standStill(ms);
  }

  override close(code: number, reason: string): void {
    super.close(code, reason);
    this.isDeleted ||= code === Close.ROOM_DELETED;
    this.disconnect();
  }

  override send(frame: Uint8Array): void {
    const asked = frame[0] === 0 && frame[1] === 0;
    super.send(frame);
    const connection = this.#connection;
    if (connection === null) return;
    // It has just answered with all that it has.
    if (asked) connection.sent = [...this.#own];
    const heard = this.heard.at(-1)!;
    if (heard === "step2") this.#collect(connection);
    const ack = /^ack (\d+)$/.exec(heard);
    if (ack !== null) this.#noteAck(connection, Number(ack[1]));
  }

  /** Sends something that builds on what nobody has, and takes it for sent: it must not be acknowledged. */
  sendGapped(update: Uint8Array): void {
    this.#connection?.sent.push("what has a gap");
    this.sendUpdate(update);
  }

  /** Does some editing. */
  edit(): void {
    const { chance } = this.surroundings;
    const word = `${this.name}${this.#wordsWritten}`;
    this.#own.push(word);
    this.#connection?.sent.push(word);
    this.words.insert(chance.below(this.words.length + 1), [word]);
    if (chance.once(2)) this.text.insert(chance.below(this.text.length + 1), word);
    else if (this.text.length > 3) this.text.delete(chance.below(this.text.length - 2), 2);
  }

  /** Asks to be told when all that went out is durable. */
  ask(): void {
    if (this.#connection === null) return;
    this.#probe = (this.#probe + 1) % 200;
    this.#connection.probes.set(this.#probe, [...this.#connection.sent]);
    this.probe(this.#probe);
  }

  get #wordsWritten(): number {
    return this.wordsBefore + this.#own.length;
  }

  #collect({ owed, era }: Connection): void {
    if (era !== this.surroundings.ledger.era) return;
    const words = new Set(this.words.toJSON());
    for (const word of owed) {
      if (!words.has(word)) {
        this.faults.push(`${this.name} is told that it is synced without ${word}`);
      }
    }
    owed.clear();
  }

  #noteAck({ rooms, era, probes }: Connection, n: number): void {
    const { ledger } = this.surroundings;
    // Of a room that has been deleted since, nothing is owed.
    if (era !== ledger.era) return;
    for (const word of probes.get(n) ?? []) {
      // "what has a gap" is no word, and is not to be acknowledged at all.
      if (!ledger.durable.has(word)) this.faults.push(`${word} was acknowledged and not durable`);
      this.acknowledged.add(word);
      ledger.acknowledged.add(word);
      acknowledgedBy(rooms, ledger).add(word);
    }
  }
}

const acknowledgments = new WeakMap<Rooms, { era: number; words: Set<string> }>();

/** Every word that an instance has acknowledged in this era, to whomever. */
function acknowledgedBy(rooms: Rooms, { era }: Ledger): Set<string> {
  const known = acknowledgments.get(rooms);
  if (known?.era === era) return known.words;
  const words = new Set<string>();
  acknowledgments.set(rooms, { era, words });
  return words;
}
