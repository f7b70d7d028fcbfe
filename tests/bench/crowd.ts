import { Histogram } from "./histogram.ts";
import { eachOf, until } from "./pause.ts";
import { Client, type Place } from "./wire/client.ts";
import { FIRST_WRITER, keystroke } from "./wire/messages.ts";

/** A keystroke's time is kept till this many later ones: no reader is that far behind another. */
const REMEMBERED = 1 << 14;

/** A server gets so long, in ms, to deliver what it has taken. */
const PATIENCE = 20_000;

/** More at once and a server's backlog of handshakes overflows. */
const JOINING_AT_ONCE = 50;

/** How many rooms, and who is in each. */
export interface CrowdSize {
  rooms: number;
  writers: number;
  readers: number;
  /** What the rooms' names begin with. Default: `room`. */
  prefix?: string;
}

/** A client that types, one character a keystroke. */
export class Writer {
  /** The number of its next character. */
  clock = 0;
  readonly #sentAt = new Float64Array(REMEMBERED);

  constructor(readonly id: number, readonly client: Client) {}

  type(): void {
    this.#sentAt[this.clock % REMEMBERED] = performance.now();
    this.client.send(keystroke(this.id, this.clock++));
    this.client.known.set(this.id, this.clock); // some servers send it back to its author, some do not
  }

  /** When a character was typed. */
  sentAt(clock: number): number {
    return this.#sentAt[clock % REMEMBERED]!;
  }
}

/** A room, with those who type and those who only read. */
export interface CrowdRoom {
  writers: Writer[];
  clients: Client[];
}

/** Told that the last who joined a room, and so is served last, has got so far with a writer. */
export type OnDelivered = (writer: Writer, clock: number) => void;

/** Rooms full of clients, and a count of all that reaches them. */
export class Crowd {
  readonly rooms: CrowdRoom[] = [];
  /** Keystrokes that have reached somebody else, however they were packed. */
  delivered = 0;
  readonly latency = new Histogram();
  onDelivered: OnDelivered = () => {};

  /** Seats everybody. */
  static async join(place: Place, size: CrowdSize): Promise<Crowd> {
    const crowd = new Crowd();
    const numbers = Array.from({ length: size.rooms }, (_, n) => n);
    await eachOf(numbers, Math.min(JOINING_AT_ONCE, size.rooms), async (n) => {
      crowd.rooms.push(await crowd.#fill(place, n, size));
    });
    return crowd;
  }

  /** Waits until every keystroke has reached everybody else, and throws when one does not. */
  async settle(): Promise<void> {
    const isThere = () => this.#missing() === 0;
    await until(isThere, PATIENCE, () => `${this.#missing()} deliveries are missing`);
  }

  get clients(): Client[] {
    return this.rooms.flatMap(({ clients }) => clients);
  }

  get writers(): Writer[] {
    return this.rooms.flatMap(({ writers }) => writers);
  }

  /** Throws if anybody was cut off, or missed something on the way. */
  check(): void {
    const faults = this.clients.map(({ fault }) => fault).filter((fault) => fault !== null);
    if (faults.length > 0) throw new Error(`${faults.length} clients failed: ${faults[0]}`);
  }

  async #fill(
    place: Place,
    n: number,
    { writers, readers, prefix = "room" }: CrowdSize,
  ): Promise<CrowdRoom> {
    const room: CrowdRoom = { writers: [], clients: [] };
    for (let seat = 0; seat < writers + readers; seat++) {
      const client = await Client.join(place, `${prefix}-${n}`);
      room.clients.push(client);
      if (seat < writers) room.writers.push(new Writer(FIRST_WRITER + room.writers.length, client));
    }
    for (const client of room.clients) this.#listen(client, room);
    return room;
  }

  #listen(client: Client, { writers, clients }: CrowdRoom): void {
    const isLast = client === clients.at(-1);
    client.onNews = (id, from, to) => {
      const writer = writers[id - FIRST_WRITER]!;
      const now = performance.now();
      for (let clock = from; clock < to; clock++) this.latency.add(now - writer.sentAt(clock));
      this.delivered += to - from;
      if (isLast) this.onDelivered(writer, to);
    };
  }

  #missing(): number {
    this.check();
    let missing = 0;
    for (const { writers, clients } of this.rooms) {
      for (const { id, clock } of writers) {
        for (const { known } of clients) missing += clock - (known.get(id) ?? 0);
      }
    }
    return missing;
  }
}
