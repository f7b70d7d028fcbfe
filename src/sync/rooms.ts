import { getLogger } from "@logtape/logtape";
import type { Clock } from "../clock.ts";
import type { Limits } from "../limits/limits.ts";
import { Occupancy, type Place } from "../limits/occupancy.ts";
import type { Tally } from "../observe/tally.ts";
import { Refusal } from "../refusal.ts";
import type { DamagedRoomError, RoomStore } from "../store/room_store.ts";
import { Announcer } from "./announcer.ts";
import { Close } from "./close.ts";
import { HeavyTurns } from "./heavy_turns.ts";
import type { Peer } from "./peer.ts";
import { PresenceClock } from "./presence_clock.ts";
import { Room, type RoomLimits, type Seat } from "./room.ts";
import type { PresenceRules } from "./room_presence.ts";
import { SendBudgets } from "./send_budget.ts";

/** How often silent lines are looked for, in ms: often enough for a client that gives up after 30 s. */
const KEEP_ALIVE_MS = 5_000;

const logger = getLogger(["tessera", "sync"]);

/** How soon a damaged room is read again, in ms: soon after its repair, and not for every client that knocks. */
const DAMAGE_RECHECK = 60_000;

/** When to come back if too many rooms are in use, in seconds. */
const PLACE_RETRY = 10;

/** What the rooms need from outside. */
export interface RoomsOptions {
  store: RoomStore;
  clock: Clock;
  /** How long a room stays in memory after its last peer, in ms: a reload of a page should find it warm. */
  linger: number;
  presence: PresenceRules;
  limits: Pick<Limits, "rooms" | "memoryBytes" | "unsentBytesPerDid"> & RoomLimits;
  /** Bytes of memory of the process. Default: what Deno says. */
  memory?: () => number;
  /** The most structs that are changed in one go. Default: what others may be kept waiting for. */
  portion?: number;
  tally: Tally;
}

/** The rooms in memory. They appear with their first peer and go some time after their last. */
export class Rooms {
  readonly #options: RoomsOptions;
  readonly #turns: HeavyTurns;
  readonly #announcer: Announcer;
  readonly #presenceClock: PresenceClock;
  readonly #sendBudgets: SendBudgets;
  readonly #rooms = new Map<string, Room>();
  readonly #farewells = new Map<Room, () => void>();
  /** Rooms that peers are on their way to, or in. */
  readonly #expected = new Occupancy();
  /** Rooms that were found damaged, and when they may be read again. */
  readonly #damaged = new Map<string, number>();
  #stopKeepAlive: (() => void) | null = null;
  #shuttingDown = false;

  constructor(options: RoomsOptions) {
    this.#options = options;
    this.#turns = new HeavyTurns(options.clock, () => this.#rooms.size > 1);
    this.#announcer = new Announcer(options.store.presence, options.clock);
    this.#presenceClock = new PresenceClock(options.store.presence);
    this.#sendBudgets = new SendBudgets(options.limits.unsentBytesPerDid, options.clock);
  }

  /** How many rooms are in memory. */
  get size(): number {
    return this.#rooms.size;
  }

  /** How many peers are behind, and how many messages wait for a commit. */
  get load(): { slowPeers: number; waiting: number } {
    const loads = [...this.#rooms.values()].map(({ load }) => load);
    const sum = (what: "slowPeers" | "waiting") => loads.reduce((all, load) => all + load[what], 0);
    return { slowPeers: sum("slowPeers"), waiting: sum("waiting") };
  }

  /** Whether the room was found damaged a moment ago, and nobody is let in. */
  isDamaged(name: string): boolean {
    return this.#options.clock.uptime() < (this.#damaged.get(name) ?? -Infinity);
  }

  /** The room was deleted: closes it, if it is in memory. */
  closeDeleted(name: string): void {
    this.#rooms.get(name)?.closeDeleted();
  }

  /**
   * Reserves a place for the room, perhaps that of one that nobody is in: others come before it is opened.
   * @throws {Refusal} TooBusy
   */
  reserve(name: string, place: Place): void {
    if (!this.#rooms.has(name) && this.#expected.of(name) === 0) {
      if (this.#isFull) throw noPlace("rooms");
      const { limits, memory = () => Deno.memoryUsage().rss } = this.#options;
      // Sooner than the process is killed, with all the rooms that are open.
      if (memory() > limits.memoryBytes) throw noPlace("memoryBytes");
    }
    place.hold(this.#expected, name);
  }

  /** Forgets all rooms that nobody is in: memory is short. Returns how many there were. */
  evictIdle(): number {
    const idle = [...this.#farewells.keys()].filter((room) => room.idle);
    for (const room of idle) this.#forget(room);
    return idle.length;
  }

  /** Seats a peer in a room. */
  join(name: string, peer: Peer): Seat {
    if (this.#shuttingDown) return turnAway(peer, Close.GOING_AWAY, "the service is restarting");
    if (this.isDamaged(name)) {
      return turnAway(peer, Close.TRY_AGAIN, "the room cannot be served now");
    }
    return this.#room(name).join(peer);
  }

  /**
   * Commits what has arrived, then closes every connection: with 1001 where all was committed, with
   * 1013 where the store did not manage within `patience` ms. One room after the other, over `drain`
   * ms, in which the others go on: or all clients would come back at once, wherever they go.
   */
  async shutDown(patience: number, drain = 0): Promise<void> {
    this.#shuttingDown = true;
    this.#stopKeepAlive?.();
    const rooms = [...this.#rooms.values()];
    let cancelDeadline = () => {};
    const deadline = new Promise<void>((resolve) => {
      cancelDeadline = this.#options.clock.after(patience, resolve);
    });
    const down = rooms.map(async (room, n) => {
      const wait = drain * n / rooms.length;
      if (wait > 0) await new Promise<void>((resolve) => this.#options.clock.after(wait, resolve));
      await room.shutDown();
    });
    await Promise.race([Promise.all(down), deadline]);
    cancelDeadline();
    for (const room of rooms) {
      if (!room.closed) room.close(Close.TRY_AGAIN, "the service stopped before it could save");
    }
    this.#announcer.stop();
    for (const cancel of this.#farewells.values()) cancel();
    this.#farewells.clear();
    this.#rooms.clear();
  }

  #room(name: string): Room {
    const known = this.#rooms.get(name);
    if (known !== undefined && !known.closed) return known;
    this.#makePlace();
    const { store, clock, presence, limits, portion, tally } = this.#options;
    const room = new Room({
      name,
      store,
      clock,
      presence,
      limits,
      tally,
      portion,
      turns: this.#turns,
      announcer: this.#announcer,
      presenceClock: this.#presenceClock,
      sendBudgets: this.#sendBudgets,
      onIdle: (room) => this.#sayFarewell(room),
      onDamage: (error) => this.#noteDamage(error),
    });
    this.#rooms.set(name, room);
    this.#stopKeepAlive ??= this.#keepAlive();
    return room;
  }

  /** The room that has been idle for longest goes, if there are too many. */
  #makePlace(): void {
    const isFull = this.#rooms.size >= this.#options.limits.rooms;
    const idlest = isFull ? this.#idlest() : undefined;
    if (idlest !== undefined) this.#forget(idlest);
  }

  /** As many rooms as there may be are in use, or will be as soon as those who are on their way have come. */
  get #isFull(): boolean {
    const { rooms } = this.#options.limits;
    if (this.#expected.size >= rooms) return true;
    return this.#rooms.size >= rooms && this.#idlest() === undefined;
  }

  /** The room in which nobody has been for longest. */
  #idlest(): Room | undefined {
    for (const room of this.#farewells.keys()) if (room.idle) return room;
  }

  /** The room is idle. It may stay a while; a closed one holds what the store does not, and goes at once. */
  #sayFarewell(room: Room): void {
    if (room.closed) return this.#forget(room);
    this.#farewells.get(room)?.();
    this.#farewells.delete(room); // the order is that in which they became idle
    const { clock, linger } = this.#options;
    this.#farewells.set(
      room,
      clock.after(linger, () => {
        if (room.idle) this.#forget(room);
      }),
    );
  }

  #forget(room: Room): void {
    this.#farewells.get(room)?.();
    this.#farewells.delete(room);
    if (this.#rooms.get(room.name) === room) this.#rooms.delete(room.name);
    if (!this.isDamaged(room.name)) this.#damaged.delete(room.name);
    room.retire();
    if (this.#rooms.size > 0) return;
    this.#stopKeepAlive?.();
    this.#stopKeepAlive = null;
  }

  /** Reported once, however many clients come and find it so. */
  #noteDamage({ room, message }: DamagedRoomError): void {
    const isKnown = this.#damaged.has(room);
    this.#damaged.set(room, this.#options.clock.uptime() + DAMAGE_RECHECK);
    if (isKnown) return;
    logger.error("{damage}. Nobody is let in; `deno task doctor` tells more", {
      room,
      damage: message,
    });
  }

  #keepAlive(): () => void {
    return this.#options.clock.after(KEEP_ALIVE_MS, () => {
      for (const room of this.#rooms.values()) room.keepAlive();
      this.#stopKeepAlive = this.#keepAlive();
    });
  }
}

function noPlace(limit: keyof Limits): Refusal {
  const words = "Too many rooms are in use. Come back later.";
  return new Refusal("TooBusy", 503, words, { retryAfter: PLACE_RETRY, limit });
}

function turnAway(peer: Peer, code: number, reason: string): Seat {
  peer.close(code, reason);
  const nothing = () => {};
  return {
    held: 0,
    receive: nothing,
    become: nothing,
    expel: nothing,
    leave: () => Promise.resolve(),
  };
}
