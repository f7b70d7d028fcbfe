import { setImmediate } from "node:timers";
import * as encoding from "lib0/encoding";
import * as Y from "yjs";
import type { Rooms } from "../../src/sync/rooms.ts";
import { FakeClock } from "../fake_clock.ts";
import { poison, syncFrame, updatesOf } from "../sync/test_peer.ts";
import { LINGER, roomsOn } from "../sync/world.ts";
import { Chance } from "./chance.ts";
import { Ledger } from "./ledger.ts";
import { Roles } from "./roles.ts";
import { SimPeer, type Surroundings } from "./sim_peer.ts";
import { SimStore } from "./sim_store.ts";

const ROOM = "room";

/** What peers may become; mostly such as may write, or little would happen. */
const ROLES = ["writer", "writer", "writer", "reader", "reader", null] as const;

/** In bytes as the peers' buffers count them: what a room lets wait, and some frames on top of it. */
const MOST_WAITING = 12 * 1024 * 1024;

/** What a run found. */
export interface Verdict {
  seed: number;
  faults: string[];
  trace: string[];
}

interface Instance {
  rooms: Rooms;
  store: SimStore;
}

/** Instances, their store, their peers and the network between: a world that a seed unfolds. */
class World {
  readonly chance: Chance;
  readonly clock = new FakeClock();
  readonly trace: string[] = [];
  readonly ledger = new Ledger();
  readonly peers: SimPeer[];
  instances: Instance[] = [];
  /** What was stored and should not have been. */
  readonly wrongs: string[] = [];
  readonly roles: Roles;

  constructor(seed: number) {
    this.chance = new Chance(seed);
    const count = 1 + this.chance.below(3);
    for (let n = 0; n < count; n++) this.instances.push(this.#start(this.instances[0]?.store));
    const { clock, chance, ledger } = this;
    const roles = this.roles = new Roles(clock, chance, () => this.instances[0]!.store.disk);
    const surroundings: Surroundings = { clock, chance, ledger, roles };
    this.peers = Array.from(
      { length: 2 + this.chance.below(4) },
      (_, n) => new SimPeer(String.fromCharCode(97 + n), surroundings),
    );
    const disk = this.instances[0]!.store.disk;
    disk.onDelete = () => this.ledger.erase(this.#stored().words);
    disk.onRevival = () => this.ledger.erased.clear();
  }

  /** Something happens, and some time passes. */
  async step(): Promise<void> {
    this.#startOver();
    const peer = this.chance.pick(this.peers);
    const n = this.chance.below(this.instances.length);
    const instance = this.instances[n]!;
    switch (this.chance.below(20)) {
      case 0:
        if (peer.online) this.#note(`${peer.name} is cut off`, () => peer.disconnect());
        break;
      case 1:
        this.#note(`the store of ${n} is ill`, () => instance.store.health = "ill");
        break;
      case 2:
        this.#note(`the store of ${n} stalls`, () => instance.store.health = "stalled");
        break;
      case 3:
      case 4:
        this.#note(`the store of ${n} is well`, () => instance.store.health = "well");
        break;
      case 5:
        if (this.chance.once(3)) this.#note(`instance ${n} dies`, () => this.#replace(n));
        break;
      case 6:
        if (this.chance.once(3)) {
          this.#note(`${peer.name} sends rubbish`, () => this.#sendRubbish(peer));
        }
        break;
      case 7:
        this.#note("much time passes", () => this.clock.advance(this.chance.below(20_000)));
        break;
      case 10:
        if (this.chance.once(6)) {
          this.#note(`${n} is told to delete the room`, () => this.#delete(instance));
        } else this.#note("somebody sets the clock", () => this.clock.set(this.#hours(2)));
        break;
      case 11:
        this.#note(`${peer.name} takes nothing`, () => peer.standStill(this.chance.below(50_000)));
        break;
      case 12:
      case 13: {
        const role = this.chance.pick(ROLES);
        this.#note(`${peer.name} becomes ${role}`, () => this.roles.set(peer.name, role));
        break;
      }
      case 8:
      case 9:
        this.#note(`${peer.name} asks`, () => peer.ask());
        break;
      default:
        if (!peer.online && this.chance.once(2)) {
          this.#note(`${peer.name} comes to ${n}`, () => peer.connect(instance.rooms, ROOM));
        } else this.#note(`${peer.name} edits`, () => peer.edit());
    }
    await this.pass(this.chance.below(100));
  }

  /** An update is stored: nobody's word may be new in it who may not write at this moment. */
  #judge(update: Uint8Array): void {
    for (const word of wordsOf(update)) {
      const { name } = this.peers.find(({ name }) => word.startsWith(name))!;
      if (this.roles.of(name) !== "writer" && !this.ledger.durable.has(word)) {
        this.wrongs.push(`${word} was stored, and ${name} may not write`);
      }
      this.ledger.durable.add(word);
    }
  }

  /** Lets time pass, from one thing that happens to the next, so that what waits for it can follow. */
  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0;) {
      const step = Math.min(this.clock.next, left);
      this.clock.advance(step);
      left -= step;
      await turn();
    }
  }

  /** Everything gets well, everyone comes, and all goes on until nothing happens any more. */
  async heal(): Promise<void> {
    for (const { store } of this.instances) store.health = "well";
    for (const { name } of this.peers) this.roles.set(name, "writer");
    // A damaged room is read again after a minute, and who was too slow is cut off after half of one.
    for (let round = 0; round < 8; round++) {
      this.#startOver();
      for (const peer of this.peers) {
        if (!peer.online) peer.connect(this.chance.pick(this.instances).rooms, ROOM);
        peer.ask();
      }
      await this.pass(10_000);
    }
  }

  /** What is not as it must be. */
  faults(): string[] {
    const faults: string[] = [...this.wrongs];
    const truth = this.#stored();
    const words = new Set(truth.words);
    const born = Math.min(...this.peers.map(({ born }) => born));
    for (const [word, era] of this.ledger.erased) {
      if (era < born && words.has(word)) faults.push(`${word} was deleted and has come back`);
    }
    for (const peer of this.peers) {
      const seen = { words: peer.words.toJSON(), text: peer.text.toString() };
      if (JSON.stringify(seen) !== JSON.stringify(truth)) {
        faults.push(`${peer.name} differs from the store`);
      }
      for (const word of peer.acknowledged) {
        if (!words.has(word)) faults.push(`${word} was acknowledged and is lost`);
      }
      if (peer.doc.store.pendingStructs !== null) {
        faults.push(`${peer.name} waits for what nobody has`);
      }
      faults.push(...peer.faults);
      if (peer.mostWaiting > MOST_WAITING) {
        faults.push(`${peer.mostWaiting} bytes waited for ${peer.name}`);
      }
      const names = this.peers.map(({ name }) => name).join();
      if (peer.sees.join() !== names) {
        faults.push(`${peer.name} sees ${peer.sees}, and not ${names}`);
      }
    }
    if (words.has("evil")) faults.push("what was refused is there");
    return faults;
  }

  /** Everyone goes, and so must every room. */
  async leave(): Promise<string[]> {
    const faults: string[] = [];
    const [first, ...others] = this.peers;
    first!.disconnect();
    // It is noticed within 5 s, and if what is told of it gets lost, that is healed within 10 s more;
    // and a line takes its time.
    await this.pass(20_000);
    const names = others.map(({ name }) => name).join();
    for (const peer of others) {
      if (peer.sees.join() !== names) faults.push(`${peer.name} sees a ghost in ${peer.sees}`);
    }
    for (const peer of others) peer.disconnect();
    await this.pass(6_000);
    this.clock.advance(LINGER);
    await this.pass(LINGER / 10);
    this.clock.advance(LINGER);
    await turn();
    for (const [n, { rooms, store }] of this.instances.entries()) {
      if (rooms.size > 0 || store.watched > 0) {
        faults.push(`instance ${n} keeps a room that everyone has left`);
      }
    }
    return faults;
  }

  /** What the next start would read. */
  #stored(): { words: string[]; text: string } {
    const { snapshot, log } = this.instances[0]!.store.disk.room(ROOM);
    const doc = new Y.Doc();
    for (const { update } of snapshot === null ? log : [snapshot, ...log]) {
      Y.applyUpdate(doc, update);
    }
    return { words: doc.getArray<string>("words").toJSON(), text: doc.getText("text").toString() };
  }

  /** Who was told that the room is deleted comes again with nothing. */
  #startOver(): void {
    for (const [n, peer] of this.peers.entries()) {
      if (peer.isDeleted) this.peers[n] = peer.reborn();
    }
  }

  #delete({ store }: Instance): void {
    // Ill, or dead, it may or may not: a room that is still there goes on.
    store.delete(ROOM).catch(() => {});
  }

  /** Some time, one way or the other, in ms. */
  #hours(most: number): number {
    return (this.chance.below(2 * most + 1) - most) * 60 * 60 * 1_000;
  }

  #start(first?: SimStore): Instance {
    const store = new SimStore(this.clock, this.chance, [ROOM], first);
    store.onStored = (update) => this.#judge(update);
    return {
      store,
      // Most updates are cut, or none is.
      rooms: roomsOn(store, this.clock, { maxRate: 30 }, {}, this.chance.pick([1, 4, undefined])),
    };
  }

  /** An instance dies in the midst of whatever it does, and another one starts. */
  #replace(n: number): void {
    const dead = this.instances[n]!;
    this.instances[n] = this.#start(dead.store);
    dead.store.die();
    for (const peer of this.peers) if (peer.rooms === dead.rooms) peer.disconnect();
  }

  #sendRubbish(peer: SimPeer): void {
    // Below 100, or noise that looks like a probe would come back and confuse its sender.
    const noise = Uint8Array.from({ length: this.chance.below(30) }, () => this.chance.below(100));
    const [, gapped] = updatesOf((text) => text.insert(0, "a"), (text) => text.insert(1, "evil"));
    if (this.chance.once(3)) return peer.sendGapped(gapped!);
    peer.sendRaw(this.chance.pick([
      noise,
      syncFrame(2, noise),
      syncFrame(2, poison()),
      encoding.encode((encoder) => encoding.writeVarUint(encoder, 77)),
    ]));
  }

  #note(what: string, happen: () => void): void {
    this.trace.push(`${String(this.clock.uptime()).padStart(8)} ${what}`);
    happen();
  }
}

/** The words that an update inserts. */
function wordsOf(update: Uint8Array): string[] {
  return Y.decodeUpdate(update).structs.flatMap((struct) =>
    struct instanceof Y.Item && struct.content instanceof Y.ContentAny ? struct.content.arr : []
  );
}

/** Lets everything run that waits for nothing but its turn. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Lets the world of a seed unfold, and says what went wrong in it. */
export async function simulate(seed: number, steps = 60): Promise<Verdict> {
  const world = new World(seed);
  for (let n = 0; n < steps; n++) await world.step();
  await world.heal();
  const faults = world.faults();
  faults.push(...await world.leave());
  return { seed, faults, trace: world.trace };
}
