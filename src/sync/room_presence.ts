import { getLogger } from "@logtape/logtape";
import type { Role } from "../access/policy.ts";
import type { Clock } from "../clock.ts";
import type { Tally } from "../observe/tally.ts";
import type { PresenceBoard } from "../store/room_store.ts";
import type { Announcer } from "./announcer.ts";
import { awarenessFrame, deniedFrame, queryAwarenessFrame } from "./frames.ts";
import type { Member } from "./member.ts";
import { Pace } from "./pace.ts";
import { type Heard, Presence } from "./presence.ts";
import { levelOf } from "../store/errors.ts";

const logger = getLogger(["tessera", "sync"]);

/** How soon other instances are told who is present, in ms: four times a second is smooth for a cursor. */
const TELLING_MS = 250;

/**
 * A newcomer is told who is there once it has said who it is, or after so long, in ms: what another
 * instance remembers of it might be news to itself, and undo what it has become in the meantime.
 */
const GREETING_MS = 200;

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
  rules: PresenceRules;
  tally: Tally;
}

/** Who is in a room, told to its members and to other instances, and heard from them. */
export class RoomPresence {
  readonly #options: RoomPresenceOptions;
  readonly #presence: Presence;
  readonly #paces = new Map<Member, Pace>();
  #telling: (() => void) | null = null;
  #hearing = false;
  #hearAgain = false;

  constructor(options: RoomPresenceOptions) {
    this.#options = options;
    this.#presence = new Presence(() => options.board.era, options.rules.maxState);
  }

  /** A member says who is there on its side. @throws {BadFrameError} */
  update(member: Member, entries: Uint8Array): void {
    if (this.#maySpeak(member)) this.#take(member, entries);
    this.#greet(member);
  }

  /** A member's role is another now. */
  noteRole(member: Member, before: Role | null): void {
    if (this.#options.rules.ofReaders) return;
    if (!this.#maySpeak(member)) this.leave(member);
    else if (before === "reader") member.outbox.answer("queryAwareness", queryAwarenessFrame);
  }

  /** A newcomer is to be told who is there, soon. */
  greetSoon(member: Member): void {
    this.#options.clock.after(GREETING_MS, () => this.#greet(member));
  }

  /** Tells a member who is there; if its buffer is full, who is there and who has gone, once it has drained. */
  show(member: Member): void {
    if (member.outbox.full) return this.#owe(member);
    const everyone = this.#presence.everyone(member.peer);
    if (everyone !== null) member.outbox.send(awarenessFrame(everyone));
  }

  /** Nobody is there any more on a member's side. */
  leave(member: Member): void {
    this.#paces.get(member)?.stop();
    this.#paces.delete(member);
    const news = this.#presence.leave(member.peer);
    if (news !== null) this.#tell(news);
  }

  /** Other instances are to be told who is here, soon, if there are any. */
  tellOthers(): void {
    const { room, clock, announcer } = this.#options;
    if (!announcer.matters(room)) return;
    this.#telling ??= clock.after(TELLING_MS, () => {
      this.#telling = null;
      this.#announce();
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
      const news = this.#presence.hear(await board.others(room));
      if (news !== null) this.#showAll(news);
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
    if (this.#options.announcer.matters(this.#options.room)) this.#announce();
  }

  #maySpeak({ rights }: Member): boolean {
    return rights.role !== "reader" || this.#options.rules.ofReaders;
  }

  #take(member: Member, entries: Uint8Array): void {
    const { own, fault } = this.#presence.read(member.peer, entries);
    if (fault !== null) this.#complain(member, fault);
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
    const { news, echo } = this.#presence.update(member.peer, own);
    if (echo !== null) this.#send(member, awarenessFrame(echo));
    if (news !== null) this.#tell(news, member);
  }

  #greet(member: Member): void {
    if (member.greeted || !this.#options.members.has(member)) return;
    member.greeted = true;
    this.show(member);
  }

  #tell(news: Uint8Array, except?: Member): void {
    this.#showAll(news, except);
    this.tellOthers();
  }

  #showAll(news: Uint8Array, except?: Member): void {
    const frame = awarenessFrame(news);
    for (const member of this.#options.members) {
      if (member !== except) this.#send(member, frame);
    }
  }

  #send(member: Member, frame: Uint8Array): void {
    if (member.outbox.full) this.#owe(member);
    else member.outbox.send(frame);
  }

  #owe(member: Member): void {
    member.outbox.answer("presence", () => {
      const entries = this.#presence.everyoneAndGone(member.peer);
      return entries && awarenessFrame(entries);
    });
  }

  #announce(): void {
    this.#options.announcer.announce(this.#options.room, this.#presence.local());
  }
}
