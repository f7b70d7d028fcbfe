import type { Clock } from "../../src/clock.ts";
import type { Peer } from "../../src/sync/peer.ts";
import type { Rooms } from "../../src/sync/rooms.ts";
import { TestPeer } from "../sync/test_peer.ts";
import type { Chance } from "./chance.ts";
import { Line } from "./line.ts";

/**
 * A client in a simulated world. Every edit of its own puts one word of its own into a list, so that
 * what was acknowledged can be looked for word by word.
 */
export class SimPeer extends TestPeer {
  readonly acknowledged = new Set<string>();
  readonly words = this.doc.getArray<string>("words");
  /** Its own words that went out on the connection that it has now. */
  #sent: string[] = [];
  #own: string[] = [];
  /** By the number of a probe, the words that went out before it. */
  #probes = new Map<number, string[]>();
  #probe = 0;
  /** What it must have when it is told that it is synced: all that this instance had acknowledged before. */
  #owed = new Set<string>();
  /** What went wrong on the way. */
  readonly faults: string[] = [];
  #hangUp: (() => void) | null = null;

  constructor(
    readonly name: string,
    private readonly clock: Clock,
    private readonly chance: Chance,
  ) {
    super(`did:${name}`);
    this.doc.clientID = this.awareness.clientID = 1 + chance.below(2 ** 31);
    this.awareness.states.clear();
    this.awareness.setLocalState({ name });
  }

  /** The instance that it is connected to. */
  rooms: Rooms | null = null;

  get online(): boolean {
    return this.#hangUp !== null;
  }

  /** Connects to an instance; both directions take their time. */
  connect(rooms: Rooms, room: string): void {
    const [up, down] = [new Line(this.clock, this.chance), new Line(this.clock, this.chance)];
    const there: Peer = {
      did: this.did,
      role: "writer",
      buffered: 0,
      send: (frame) => down.carry(() => this.send(frame)),
      close: (code, reason) =>
        down.carry(() => {
          up.cut();
          this.close(code, reason);
        }),
    };
    const seat = rooms.join(room, there);
    this.rooms = rooms;
    this.#owed = new Set(acknowledgedBy(rooms));
    this.closed = null;
    this.#sent = [];
    this.#probes.clear();
    this.sit({
      receive: (frame) => up.carry(() => seat.receive(frame)),
      leave: () => {
        up.cut();
        down.cut();
        // The other side learns of it later.
        this.clock.after(this.chance.below(5_000), () => seat.leave());
      },
    });
    this.#hangUp = () => this.leave();
    this.askForAll();
    this.announce();
  }

  disconnect(): void {
    this.#hangUp?.();
    this.#hangUp = null;
  }

  override close(code: number, reason: string): void {
    super.close(code, reason);
    this.disconnect();
  }

  override send(frame: Uint8Array): void {
    const asked = frame[0] === 0 && frame[1] === 0;
    super.send(frame);
    // It has just answered with all that it has.
    if (asked) this.#sent = [...this.#own];
    const heard = this.heard.at(-1)!;
    if (heard === "step2") this.#collect();
    const ack = /^ack (\d+)$/.exec(heard);
    if (ack === null || this.rooms === null) return;
    for (const word of this.#probes.get(Number(ack[1])) ?? []) {
      this.acknowledged.add(word);
      acknowledgedBy(this.rooms).add(word);
    }
  }

  #collect(): void {
    const words = new Set(this.words.toJSON());
    for (const word of this.#owed) {
      if (!words.has(word)) {
        this.faults.push(`${this.name} is told that it is synced without ${word}`);
      }
    }
    this.#owed.clear();
  }

  /** Sends something that builds on what nobody has, and takes it for sent: it must not be acknowledged. */
  sendGapped(update: Uint8Array): void {
    this.#sent.push("what has a gap");
    this.sendUpdate(update);
  }

  /** Shows that it is there, as every client does every 15 s. */
  renew(): void {
    this.awareness.setLocalState({ name: this.name });
    this.announce();
  }

  /** Does some editing. */
  edit(): void {
    const word = `${this.name}${this.#own.length}`;
    this.#own.push(word);
    if (this.online) this.#sent.push(word);
    this.words.insert(this.chance.below(this.words.length + 1), [word]);
    if (this.chance.once(2)) this.text.insert(this.chance.below(this.text.length + 1), word);
    else if (this.text.length > 3) this.text.delete(this.chance.below(this.text.length - 2), 2);
  }

  /** Asks to be told when all that went out is durable. */
  ask(): void {
    if (!this.online) return;
    this.#probe = (this.#probe + 1) % 200;
    this.#probes.set(this.#probe, [...this.#sent]);
    this.probe(this.#probe);
  }
}

const acknowledgments = new WeakMap<Rooms, Set<string>>();

/** Every word that an instance has acknowledged, to whomever. */
function acknowledgedBy(rooms: Rooms): Set<string> {
  const words = acknowledgments.get(rooms) ?? new Set();
  acknowledgments.set(rooms, words);
  return words;
}
