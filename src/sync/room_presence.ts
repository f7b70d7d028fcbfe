import { getLogger } from "@logtape/logtape";
import type { Clock } from "../clock.ts";
import type { PresenceBoard } from "../store/room_store.ts";
import type { Announcer } from "./announcer.ts";
import { awarenessFrame } from "./frames.ts";
import type { Member } from "./member.ts";
import { Presence } from "./presence.ts";

const logger = getLogger(["tessera", "sync"]);

/** How soon other instances are told who is present, in ms: four times a second is smooth for a cursor. */
const TELLING_MS = 250;

/**
 * A newcomer is told who is there once it has said who it is, or after so long, in ms: what another
 * instance remembers of it might be news to itself, and undo what it has become in the meantime.
 */
const GREETING_MS = 200;

/** What a room's presence needs of it. */
export interface RoomPresenceOptions {
  room: string;
  clock: Clock;
  members: ReadonlySet<Member>;
  board: PresenceBoard;
  announcer: Announcer;
  /** A member's buffer is too full for news. */
  onFull(): void;
}

/** Who is in a room, told to its members and to other instances, and heard from them. */
export class RoomPresence {
  readonly #options: RoomPresenceOptions;
  readonly #presence: Presence;
  #telling: (() => void) | null = null;
  #hearing = false;
  #hearAgain = false;

  constructor(options: RoomPresenceOptions) {
    this.#options = options;
    this.#presence = new Presence(() => options.board.era);
  }

  /** A member says who is there on its side. @throws {BadFrameError} */
  update(member: Member, entries: Uint8Array): void {
    const { news, echo } = this.#presence.update(member.peer, entries);
    if (echo !== null) member.send(awarenessFrame(echo));
    if (news !== null) this.#tell(news, member);
    this.#greet(member);
  }

  /** A newcomer is to be told who is there, soon. */
  greetSoon(member: Member): void {
    this.#options.clock.after(GREETING_MS, () => this.#greet(member));
  }

  /** Tells a member who is there. */
  show(member: Member): void {
    const everyone = this.#presence.everyone(member.peer);
    if (everyone !== null) member.send(awarenessFrame(everyone));
  }

  /** Tells a member that has missed something who is there, and who has gone. */
  showAgain(member: Member): void {
    const entries = this.#presence.everyoneAndGone(member.peer);
    if (entries !== null) member.send(awarenessFrame(entries));
    member.missedPresence = false;
  }

  /** A member has left. */
  leave({ peer }: Member): void {
    const news = this.#presence.leave(peer);
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
      logger.warn("who is in {room} elsewhere could not be read: {error}", { room, error });
    }
  }

  /** The room closes: nobody is told, for nobody is left. */
  disband(): void {
    for (const { peer } of this.#options.members) this.#presence.leave(peer);
  }

  /** The room leaves memory: other instances are told that nobody is here. */
  retire(): void {
    this.#telling?.();
    if (this.#options.announcer.matters(this.#options.room)) this.#announce();
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
      if (member === except) continue;
      if (!member.delivery.full) {
        member.send(frame);
        continue;
      }
      member.missedPresence = true;
      this.#options.onFull();
    }
  }

  #announce(): void {
    this.#options.announcer.announce(this.#options.room, this.#presence.local());
  }
}
