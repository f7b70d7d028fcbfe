import { getLogger } from "@logtape/logtape";
import type { Role } from "../access/policy.ts";
import type { Clock } from "../clock.ts";
import type { Tally } from "../observe/tally.ts";
import type { PresenceBoard } from "../store/room_store.ts";
import type { Announcer } from "./announcer.ts";
import { decodeTold, type Entry, type Heard } from "./awareness.ts";
import { deniedFrame, queryAwarenessFrame } from "./frames.ts";
import type { Member } from "./member.ts";
import { Pace } from "./pace.ts";
import { Presence } from "./presence.ts";
import type { PresenceClock } from "./presence_clock.ts";
import { levelOf } from "../store/errors.ts";

const logger = getLogger(["tessera", "sync"]);

/** How soon other instances are told who is present, in ms: four times a second is smooth for a cursor. */
const TELLING_MS = 250;

/**
 * A newcomer is told who is there once it has said who it is, or after so long, in ms: what another
 * instance remembers of it might be news to itself, and undo what it has become in the meantime.
 */
const GREETING_MS = 200;

/**
 * How long a newcomer waits for a clock of presence that is later than any other instance's, in ms. If the
 * store does not answer, it may not see everyone before they move, or say again that they are there.
 */
const LATEST_CLOCK_MS = 1_000;

/**
 * What the presence of one room may send: about a quarter of a core. Over that, news is told less often
 * and more at a time; a state that has changed twice in between is told once.
 */
const BYTES_PER_MS = 32 * 1024;
/** What a frame costs beside its bytes. */
const FRAME_OVERHEAD_BYTES = 1024;
/** How much news is sent in one go: it keeps others waiting for some 5 ms. */
const BYTES_AT_ONCE = 2 * 1024 * 1024;
/** How much may be sent in advance, in ms: so a room of a hundred is told at once. */
const BURST_MS = 50;

/** What may be said of presence. */
export interface PresenceRules {
  /** The most bytes of one client's state. */
  maxState: number;
  /** How many messages of one connection a second are passed on. Of what comes in between, the latest. */
  maxRate: number;
  /** Whether others see who may only read. */
  ofReaders: boolean;
}

/** What a room's presence needs of it. */
export interface RoomPresenceOptions {
  room: string;
  clock: Clock;
  members: ReadonlySet<Member>;
  board: PresenceBoard;
  announcer: Announcer;
  presenceClock: PresenceClock;
  rules: PresenceRules;
  tally: Tally;
  /** A member says that a client id is its own. */
  onIdentified(member: Member, client: number): void;
}

/**
 * Who is in a room, told to its members and to other instances, and heard from them. What is to be told
 * is collected, and told together: each member gets one frame, however much has happened.
 */
export class RoomPresence {
  readonly #options: RoomPresenceOptions;
  readonly #presence: Presence;
  readonly #paces = new Map<Member, Pace>();
  /** What members have said of themselves, as they said it: a lone y-websocket lives on that echo. */
  #echoes = new Map<Member, Map<number, Entry>>();
  /** Members that are to be told of everyone. */
  #asking = new Set<Member>();
  #isFlushDue = false;
  /** When all that was sent will have been worked off, by `BYTES_PER_MS`. */
  #workedOffAt = 0;
  /** Members that have come, and are to be greeted with clocks later than any that they may have seen. */
  readonly #newcomers = new Set<Member>();
  #greeting = false;
  #telling: (() => void) | null = null;
  #hearing = false;
  #hearAgain = false;

  constructor(options: RoomPresenceOptions) {
    this.#options = options;
    const { clock, presenceClock, rules } = options;
    this.#presence = new Presence(clock, presenceClock, rules.maxState);
  }

  /** A member says who is there on its side. @throws {BadFrameError} */
  update(member: Member, entries: Uint8Array): void {
    if (this.#maySpeak(member)) this.#take(member, entries);
    this.#welcome(member);
  }

  /** A member's role is another now. */
  noteRole(member: Member, before: Role | null): void {
    if (this.#options.rules.ofReaders) return;
    if (!this.#maySpeak(member)) this.leave(member);
    else if (before === "reader") member.outbox.answer("queryAwareness", queryAwarenessFrame);
  }

  /** A newcomer is to be told who is there, soon. */
  greetSoon(member: Member): void {
    this.#options.clock.after(GREETING_MS, () => this.#welcome(member));
  }

  /** A member asks who is there. */
  show(member: Member): void {
    this.#asking.add(member);
    this.#flushSoon();
  }

  /** Nobody is there any more on a member's side. */
  leave(member: Member): void {
    this.#paces.get(member)?.stop();
    this.#paces.delete(member);
    if (this.#presence.leave(member.peer)) this.#noteNews();
  }

  /** Other instances are to be told who is here, soon, if there are any. */
  tellOthers(): void {
    const { room, clock, announcer } = this.#options;
    if (!announcer.matters(room)) return;
    this.#telling ??= clock.after(TELLING_MS, () => {
      this.#telling = null;
      announcer.announce(room, this.#presence.local());
    });
  }

  /** Hears from other instances who is there; once more if that changes on the way. */
  async hearOthers(): Promise<void> {
    this.#hearAgain = true;
    if (this.#hearing) return;
    this.#hearing = true;
    while (this.#hearAgain) {
      this.#hearAgain = false;
      await this.#hearOnce();
    }
    this.#hearing = false;
  }

  async #hearOnce(): Promise<void> {
    const { room, board } = this.#options;
    try {
      const told = await board.others(room);
      const all = new Map(Array.from(told, ([id, bytes]) => [id, decodeTold(bytes)]));
      if (this.#presence.hear(all)) this.#flushSoon();
    } catch (error) {
      logger[levelOf(error)]("who is in {room} elsewhere could not be read: {error}", {
        room,
        error,
      });
    }
  }

  /** The room closes: nobody is told, for nobody is left. */
  disband(): void {
    for (const pace of this.#paces.values()) pace.stop();
    this.#paces.clear();
    for (const { peer } of this.#options.members) this.#presence.leave(peer);
  }

  /** The room leaves memory: other instances are told that nobody is here. */
  retire(): void {
    this.#telling?.();
    const { room, announcer } = this.#options;
    if (announcer.matters(room)) announcer.announce(room, null);
  }

  #maySpeak({ rights }: Member): boolean {
    return rights.role !== "reader" || this.#options.rules.ofReaders;
  }

  #take(member: Member, entries: Uint8Array): void {
    const { own, fault } = this.#presence.read(member.peer, entries);
    if (fault !== null) this.#complain(member, fault);
    for (const { clientId } of own) this.#options.onIdentified(member, clientId);
    if (own.length > 0) this.#paceOf(member).take(own);
  }

  /** Tells a member why not all that it says is shown, once. */
  #complain(member: Member, fault: string): void {
    this.#options.tally.limits.add("presence");
    if (member.knowsPresenceFault) return;
    member.knowsPresenceFault = true;
    const reason = `Not all of your presence is shown: ${fault}.`;
    member.outbox.answer("presenceFault", () => deniedFrame(reason));
  }

  #paceOf(member: Member): Pace {
    const known = this.#paces.get(member);
    if (known !== undefined) return known;
    const { clock, rules } = this.#options;
    const pace = new Pace(clock, 1_000 / rules.maxRate, (own) => this.#pass(member, own));
    this.#paces.set(member, pace);
    return pace;
  }

  #pass(member: Member, own: Heard[]): void {
    const echo = this.#echoes.get(member) ?? new Map<number, Entry>();
    for (const entry of own) echo.set(entry.clientId, entry);
    this.#echoes.set(member, echo);
    if (this.#presence.update(member.peer, own)) this.tellOthers();
    this.#flushSoon();
  }

  #noteNews(): void {
    this.tellOthers();
    this.#flushSoon();
  }

  #welcome(member: Member): void {
    if (member.greeted || !this.#options.members.has(member)) return;
    this.#newcomers.add(member);
    if (!this.#greeting) this.#greetNewcomers();
  }

  async #greetNewcomers(): Promise<void> {
    this.#greeting = true;
    while (this.#newcomers.size > 0) {
      const newcomers = [...this.#newcomers];
      this.#newcomers.clear();
      await this.#advanceClock();
      this.#greet(newcomers.filter((member) => this.#options.members.has(member)));
    }
    this.#greeting = false;
  }

  /** Where there are other instances, the clock of presence becomes later than theirs were. */
  async #advanceClock(): Promise<void> {
    const { board, room, clock } = this.#options;
    let cancel = () => {};
    const tooLong = new Promise<void>((resolve) => cancel = clock.after(LATEST_CLOCK_MS, resolve));
    try {
      await Promise.race([board.advance(), tooLong]);
    } catch (error) {
      logger[levelOf(error)]("newcomers to {room} may not see everyone yet: {error}", {
        room,
        error,
      });
    } finally {
      cancel();
    }
  }

  #greet(newcomers: Member[]): void {
    this.#presence.renew(newcomers.map(({ peer }) => peer));
    for (const member of newcomers) {
      member.greeted = true;
      this.#asking.add(member);
    }
    this.#noteNews();
  }

  #flushSoon(): void {
    if (this.#isFlushDue) return;
    this.#isFlushDue = true;
    const { clock } = this.#options;
    const wait = this.#workedOffAt - clock.uptime() - BURST_MS;
    if (wait > 0) clock.after(wait, () => this.#flush());
    else clock.turn().then(() => this.#flush());
  }

  #flush(): void {
    this.#isFlushDue = false;
    const { members, clock } = this.#options;
    const news = this.#presence.takeNews(BYTES_AT_ONCE / Math.max(1, members.size));
    const [echoes, asking] = [this.#echoes, this.#asking];
    [this.#echoes, this.#asking] = [new Map(), new Set()];
    let cost = 0;
    // Those with a frame of their own come last: a socket frames the same bytes in a row only once.
    const special = new Set([...echoes.keys(), ...asking]);
    const others = news.isEmpty ? [] : [...members].filter((member) => !special.has(member));
    for (const member of [...others, ...special]) {
      if (!member.greeted || !members.has(member)) continue;
      const { outbox, peer } = member;
      const owe = () => outbox.owe("presence", () => this.#presence.everyoneAndGone(peer));
      if (outbox.full) {
        owe();
        continue;
      }
      const own = [...echoes.get(member)?.values() ?? []];
      const everyone = asking.has(member) ? this.#presence.everyone(peer) : null;
      for (const frame of [news.frameFor(peer, own), everyone]) {
        if (frame === null) continue;
        if (!outbox.hasRoom(frame.length)) {
          owe();
          break;
        }
        outbox.send(frame);
        cost += frame.length + FRAME_OVERHEAD_BYTES;
      }
    }
    this.#workedOffAt = Math.max(this.#workedOffAt, clock.uptime()) + cost / BYTES_PER_MS;
    if (this.#presence.hasNews) this.#flushSoon();
  }
}
