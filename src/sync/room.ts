import { getLogger } from "@logtape/logtape";
import { mergeUpdates } from "yjs";
import type { Role } from "../access/policy.ts";
import type { Clock } from "../clock.ts";
import type { Limits } from "../limits/limits.ts";
import type { Tally } from "../observe/tally.ts";
import { traced } from "../observe/trace.ts";
import {
  type Change,
  DamagedRoomError,
  type Premise,
  PremiseError,
  RoomDeletedError,
  type RoomStore,
} from "../store/room_store.ts";
import type { Announcer } from "./announcer.ts";
import { NOBODY_FRAME } from "./awareness.ts";
import { Authors } from "./authors.ts";
import { Broadcast } from "./broadcast.ts";
import { Close } from "./close.ts";
import { type Arrival, Arrivals, isDone, settle, type Update } from "./arrivals.ts";
import { checkStateVector, isEmpty, PoisonedError } from "./document.ts";
import { Doubt, REFUTED } from "./doubt.ts";
import { BadFrameError, type Frame, readFrame } from "./frames.ts";
import type { HeavyTurns } from "./heavy_turns.ts";
import { Member } from "./member.ts";
import { type Outline, outline, outlineInSteps } from "./outline.ts";
import type { Peer } from "./peer.ts";
import { inTurns } from "./portion.ts";
import type { PresenceClock } from "./presence_clock.ts";
import { Rights } from "./rights.ts";
import type { SendBudgets } from "./send_budget.ts";
import { type PresenceRules, RoomPresence } from "./room_presence.ts";
import { Slices } from "./slices.ts";
import { StoredDocument } from "./stored_document.ts";
import { MalformedUpdateError } from "./struct_reader.ts";
import { levelOf, StoreDownError } from "../store/errors.ts";

const logger = getLogger(["tessera", "sync"]);

/** y-websocket gives a line up after 30 s without a message, and looks every 3 s; pings do not count. */
const SILENCE_MS = 20_000;

/** How long a store that does not answer may keep in somebody who has no role any more, in ms. */
const CAST_OUT_MS = 1_000;
/** Why a document takes no more, or none from new authors. */
const FULL = {
  documentBytes: "The document is as large as one may be.",
  documentMemory: "The document is as complex as one may be.",
  documentClients: "The document has had as many authors as one may have, and takes no new ones.",
};
const TOO_MUCH = "More is waiting on your behalf than can be kept. Come back, and send it again.";
const CONFLICT =
  "Something else is stored under your Yjs client id. Take a new one, and write it again.";
const NO_ACCESS = "you have no access any more";

/** One connection's place in a room. */
export interface Seat {
  /** Bytes that the room keeps on behalf of the peer: what it sent and waits, and what it is owed. */
  readonly held: number;
  /** Takes a frame from the peer. */
  receive(frame: Uint8Array): void;
  /**
   * From now on the peer has this role; with none it is closed. What it writes is committed only while
   * the premise holds, if there is one, and waits while it does not: a `become` of everybody follows.
   */
  become(role: Role | null, premise?: Premise): void;
  /** Closes the peer's connection, whose role nobody knows. */
  expel(code: number, reason: string): void;
  /** The peer is gone. Resolves once nothing that it sent waits any more: its role counts until then. */
  leave(): Promise<void>;
}

/** How much of everything a room may have. */
export type RoomLimits = Pick<Limits, keyof typeof FULL | "heldBytes">;

/** What a room needs from outside. */
export interface RoomOptions {
  name: string;
  store: RoomStore;
  clock: Clock;
  turns: HeavyTurns;
  announcer: Announcer;
  presenceClock: PresenceClock;
  sendBudgets: SendBudgets;
  presence: PresenceRules;
  limits: RoomLimits;
  tally: Tally;
  /** The most structs that are changed in one go. Default: what others may be kept waiting for. */
  portion?: number;
  /** Called whenever the room has become idle. */
  onIdle(room: Room): void;
  /** Called when what is stored of the room cannot be served. It is about to close. */
  onDamage(error: DamagedRoomError): void;
}

/**
 * A room: one document, and the peers that edit it. What arrives while a commit is in flight forms
 * the next batch. A batch is applied in one transaction, appended to the log, and only when it is
 * durable broadcast and acknowledged: whatever leaves the room can be read back after a crash.
 */
export class Room {
  readonly name: string;
  readonly #store: RoomStore;
  readonly #clock: Clock;
  readonly #turns: HeavyTurns;
  readonly #onIdle: (room: Room) => void;
  readonly #onDamage: (error: DamagedRoomError) => void;
  readonly #limits: RoomLimits;
  readonly #sendBudgets: SendBudgets;
  readonly #tally: Tally;
  readonly #members = new Set<Member>();
  readonly #broadcast: Broadcast;
  readonly #presence: RoomPresence;
  readonly #stored: StoredDocument;
  readonly #doubt = new Doubt();
  readonly #authors = new Authors();
  readonly #arrivals = new Arrivals((member) => this.#doubt.isAbout(member));
  /** The loop that empties `#arrivals`, while it runs. */
  #running: Promise<void> | null = null;
  readonly #unwatch: () => void;
  /** Something was changed elsewhere while nobody was here to see it. */
  #stale = false;
  #deaf = false;
  #closed = false;

  constructor(
    {
      name,
      store,
      clock,
      turns,
      announcer,
      presenceClock,
      sendBudgets,
      presence,
      limits,
      tally,
      portion,
      onIdle,
      onDamage,
    }: RoomOptions,
  ) {
    this.name = name;
    this.#store = store;
    this.#clock = clock;
    this.#turns = turns;
    this.#onIdle = onIdle;
    this.#onDamage = onDamage;
    this.#limits = limits;
    this.#sendBudgets = sendBudgets;
    this.#tally = tally;
    this.#broadcast = new Broadcast({
      clock,
      members: this.#members,
      document: () => this.#stored.document,
      isCommitting: () => this.#running !== null,
      onStuck: (member) => this.#expel(member, "too slow", Close.TRY_AGAIN),
    });
    this.#presence = new RoomPresence({
      room: name,
      clock,
      members: this.#members,
      board: store.presence,
      announcer,
      presenceClock,
      rules: presence,
      tally,
      onIdentified: (member, client) => this.#identify(member, client),
    });
    this.#stored = new StoredDocument({
      name,
      store,
      clock,
      turns,
      tally,
      maxMemory: limits.documentMemory,
      portion,
    });
    this.#unwatch = store.watch(name, (what) => this.#hear(what));
  }

  /** Nobody is here and nothing is under way: the room may be forgotten. */
  get idle(): boolean {
    const nothingWaits = this.#running === null && this.#arrivals.length === 0;
    return this.#members.size === 0 && nothingWaits && !this.#stored.isCompacting;
  }

  /** The room lets nobody in any more. */
  get closed(): boolean {
    return this.#closed;
  }

  /** How many of its peers are behind, and how many messages wait. */
  get load(): { slowPeers: number; waiting: number } {
    const slow = [...this.#members].filter(({ delivery, outbox }) =>
      delivery.behind || outbox.isOwing
    );
    return { slowPeers: slow.length, waiting: this.#arrivals.length };
  }

  /** Lets a peer in. It is greeted once the document is loaded. */
  join(peer: Peer): Seat {
    const member = new Member(
      peer,
      this.#sendBudgets.enter(peer),
      this.#clock,
      (slow) => this.#broadcast.pumpSoon(slow),
    );
    if (this.#members.size === 0) this.#lookAround();
    this.#members.add(member);
    this.#enqueue({ type: "joined", member });
    return {
      get held() {
        return member.held;
      },
      receive: (frame) => this.#receive(member, frame),
      become: (role, premise) => {
        member.premise = premise ?? null;
        this.#doubt.hear(premise ?? REFUTED);
        this.#become(member, role);
        this.#resume();
      },
      expel: (code, reason) => {
        member.premise = null;
        member.rights = new Rights(null);
        this.#expel(member, reason, code);
        this.#resume();
      },
      leave: async () => {
        this.#leave(member);
        this.#sendBudgets.leave(peer);
        do {
          await this.#whenSure([member]);
          await this.#running;
        } while (this.#arrivals.has((arrival) => "member" in arrival && arrival.member === member));
      },
    };
  }

  /**
   * Takes no more frames, commits and answers those that have arrived, then closes every connection.
   * What is not taken is not acknowledged either, and comes up again wherever its sender goes next.
   */
  async shutDown(): Promise<void> {
    this.#deaf = true;
    await this.#running;
    if (!this.#closed) this.close(Close.GOING_AWAY, "the service is restarting");
  }

  /** Closes every connection. What has arrived and is not committed yet stays unacknowledged. */
  close(code: number, reason: string): void {
    this.#closed = true;
    this.#unwatch();
    this.#arrivals.clear();
    this.#resume();
    this.#presence.disband();
    const members = [...this.#members];
    this.#members.clear();
    for (const { peer } of members) peer.close(code, reason);
    this.#tellIfIdle();
  }

  /** Closes every connection, for good. */
  closeDeleted(): void {
    this.close(Close.ROOM_DELETED, "the room was deleted");
  }

  /** Lets go of everything. To be called when the room is idle and forgotten. */
  retire(): void {
    this.#closed = true;
    this.#unwatch();
    this.#presence.retire();
  }

  /**
   * To be called every few seconds: sends something to every peer that has heard nothing for a while,
   * lest it gives its line up, and asks again for what is missing if somebody else has changed that.
   */
  keepAlive(): void {
    for (const member of this.#members) {
      if (this.#stored.isLoaded) this.#askToFill(member);
      const { outbox } = member;
      if (outbox.silence >= SILENCE_MS && !outbox.full) outbox.send(NOBODY_FRAME);
    }
    this.#broadcast.forgetOld();
  }

  #receive(member: Member, bytes: Uint8Array): void {
    if (this.#deaf || !this.#members.has(member)) return;
    try {
      this.#accept(member, readFrame(bytes));
    } catch (error) {
      if (!(error instanceof BadFrameError || error instanceof MalformedUpdateError)) throw error;
      this.#expel(member, error.message);
    }
  }

  #accept(member: Member, frame: Frame): void {
    switch (frame.type) {
      case "step1": {
        checkStateVector(frame.stateVector);
        const isKnown = member.question !== null;
        member.question = frame.stateVector;
        return isKnown ? undefined : this.#enqueue({ type: "step1", member });
      }
      case "step2":
      case "update": {
        const { update } = frame;
        const read = this.#stored.portion.isLarge(update) ? null : this.#sliced(outline(update));
        const whole = frame.type === "step2";
        return this.#take({
          type: "update",
          member,
          update,
          whole,
          read,
          slices: [],
          isBegun: false,
          isTorn: false,
        });
      }
      case "syncStatus":
        if (member.outbox.holdProbe(frame.echo)) {
          return this.#enqueue({ type: "syncStatus", member, echo: frame.echo });
        }
        return this.#expel(member, "too many probes wait", Close.TRY_AGAIN);
      case "awareness":
        return this.#presence.update(member, frame.entries);
      case "queryAwareness":
        return this.#presence.show(member);
    }
  }

  #take(update: Update): void {
    if (update.read !== null && !this.#isAllowed(update)) return;
    this.#enqueue(update);
    if (update.member.held > this.#limits.heldBytes) {
      this.#expel(update.member, TOO_MUCH, Close.TRY_AGAIN);
    }
  }

  #sliced(outline: Outline): Update["read"] {
    const slices = new Slices(outline, (deletion) => this.#stored.document.deletion(deletion));
    return { outline, slices };
  }

  #enqueue(arrival: Arrival): void {
    this.#arrivals.push(arrival);
    this.#goOn();
  }

  /** Sees to what has arrived, unless all of it has to wait. */
  #goOn(): void {
    if (this.#arrivals.mustAllWait) return; // a run that had nothing to do would end before it is noted
    this.#running ??= this.#run();
  }

  async #run(): Promise<void> {
    try {
      await this.#stored.load();
      while (!this.#arrivals.mustAllWait) {
        // The runtime hands over one frame at a time. Without this, the first of a burst would be
        // committed and broadcast alone: that halved what a busy room delivers.
        await this.#clock.turn();
        await this.#stored.recountIfDue();
        await this.#readLarge();
        if (this.#arrivals.areHeavy) await this.#turns.turn();
        const { weight } = this.#stored.portion;
        const batch = this.#arrivals.take(weight, (update) => this.#isAllowed(update));
        await this.#commit(batch.filter((arrival) => arrival.type === "update"));
        const done = this.#arrivals.putBack(batch);
        if (batch.some(({ type }) => type === "changed")) await this.#catchUp();
        for (const arrival of done) {
          const answered = arrival.type === "changed" ? undefined : this.#answer(arrival);
          if (answered !== undefined) await answered;
        }
        this.#broadcast.pumpIfDue();
        await this.#stored.compactIfDue(() => this.#tellIfIdle());
      }
    } catch (error) {
      this.#giveUp(error);
    } finally {
      this.#running = null;
      this.#broadcast.pumpIfDue(); // it may have become due while the log was folded
      this.#tellIfIdle();
    }
  }

  async #readLarge(): Promise<void> {
    for (let next = this.#arrivals.unread; next !== undefined; next = this.#arrivals.unread) {
      try {
        next.read = this.#sliced(await inTurns(this.#turns, outlineInSteps(next.update)));
      } catch (error) {
        if (!(error instanceof MalformedUpdateError)) throw error;
        this.#arrivals.drop(next);
        this.#expel(next.member, error.message);
      }
    }
  }

  /** Resolves when the rights of all of these are known, or it does not matter any more. */
  async #whenSure(members: Iterable<Member>): Promise<void> {
    while (!this.#closed && [...members].some((member) => this.#doubt.isAbout(member))) {
      await this.#doubt.change();
    }
  }

  /** Goes on with what has waited till somebody's rights are known. */
  #resume(): void {
    this.#doubt.resume();
    this.#goOn();
  }

  /** Whether it may be done now: a role may have changed since it came, and the document have grown. */
  #isAllowed(update: Update): boolean {
    const full = update.member.rights.mayWrite ? this.#fullFor(update) : null;
    if (update.member.rights.mayWrite && full === null) return true;
    this.#refuse(update, full);
    return false;
  }

  /** The limit of the document that keeps it from taking an update, if there is one. */
  #fullFor({ read, isBegun }: Update): keyof typeof FULL | null {
    const { documentBytes, documentClients } = this.#limits;
    if (this.#stored.isOverMemory) return "documentMemory";
    if (isBegun) return null;
    if (this.#stored.bytes >= documentBytes) return "documentBytes";
    if (!this.#stored.isLoaded) return null;
    const hasTooMany = this.#stored.document.exceedsClients(read!.outline, documentClients);
    return hasTooMany ? "documentClients" : null;
  }

  /** A member has written what it may not. It keeps it, and what it asks about it is not acknowledged. */
  #refuse({ member, update, read, whole }: Update, full: keyof typeof FULL | null): void {
    if (whole) member.noteAnswer();
    if (isEmpty(update) || !this.#members.has(member)) return;
    this.#tally.refusedUpdates++;
    member.beginGap(true);
    this.#enqueue({ type: "refused", member, outline: read!.outline });
    const outcome = member.rights.refuse(this.#clock.uptime());
    if (full !== null) this.#tally.limits.add(full);
    const words = full !== null ? FULL[full] : "You may only read this room.";
    if (outcome === "tell") member.tellRefusal(words);
    // What answers a question of ours is not held against it.
    if (outcome !== "close" || whole) return;
    if (full !== null) this.#expel(member, words, Close.TOO_BIG);
    else this.#expel(member, "it writes, and may only read", Close.FORBIDDEN);
  }

  #become(member: Member, role: Role | null): void {
    const { role: before, mayWrite: couldWrite } = member.rights;
    if (before === role) return;
    member.rights = new Rights(role); // also of who has gone, and has left something to commit
    if (!this.#members.has(member)) return;
    if (role === null) return this.#castOut(member);
    member.tellRole(role);
    this.#presence.noteRole(member, before);
    // What it could not write comes up now.
    if (member.rights.mayWrite && !couldWrite) this.#enqueue({ type: "joined", member });
  }

  /** It has no role. Perhaps there is no room any more, of which a look at the store would tell it. */
  #castOut(member: Member): void {
    this.#enqueue({ type: "changed" });
    this.#enqueue({ type: "castOut", member });
    this.#clock.after(CAST_OUT_MS, () => this.#expel(member, NO_ACCESS, Close.FORBIDDEN));
  }

  /** What the document holds and the store does not, its senders hold too: they bring it back. */
  #giveUp(error: unknown): void {
    if (error instanceof RoomDeletedError) return this.closeDeleted();
    if (error instanceof DamagedRoomError) {
      this.#onDamage(error);
    } else {
      const event = { room: this.name, error };
      logger[levelOf(error, "error")]("room {room} cannot go on: {error}", event);
    }
    this.close(Close.TRY_AGAIN, "the room cannot be served now");
  }

  /** The first peer is about to come in: what has happened elsewhere while nobody was here? */
  #lookAround(): void {
    if (this.#stale) this.#enqueue({ type: "changed" });
    this.#stale = false;
    if (this.#store.presence.hasOthers) this.#presence.hearOthers();
  }

  /** Another instance may have changed something. */
  #hear(what: Change): void {
    if (this.#members.size === 0) this.#stale = true;
    else if (what === "audience") this.#presence.tellOthers();
    else if (what === "presence") this.#presence.hearOthers();
    else if (!this.#arrivals.has(({ type }) => type === "changed")) {
      this.#enqueue({ type: "changed" });
    }
  }

  /** Merges what other instances have stored, and shows it. */
  async #catchUp(): Promise<void> {
    await this.#merge(await this.#stored.pull());
  }

  async #merge(others: Uint8Array[]): Promise<void> {
    for await (const news of this.#stored.merge(others)) {
      this.#authors.doubt(outline(news, true).blocks.keys());
      this.#broadcast.publish(news);
    }
  }

  /** Builds the document anew, and shows what the store had more of than the document that was there. */
  async #rebuild(): Promise<void> {
    const missed = await this.#stored.rebuild();
    this.#authors.clear();
    // Together: whoever falls behind with it has all that the document holds by then.
    if (missed.length > 0) this.#broadcast.publish(mergeUpdates(missed));
  }

  /** Commits slices of updates, as far as nothing else is stored in their place. */
  async #commit(updates: Update[]): Promise<void> {
    let waiting = updates;
    while (waiting.length > 0) {
      const { batch, rest } = this.#withoutConflicts(waiting);
      await this.#commitTogether(batch);
      if (batch.some(({ slices }) => slices.length > 0)) return; // it is others' turn
      waiting = rest;
    }
  }

  /**
   * Takes from updates those that can be committed together, and refuses those that conflict with the
   * document. One that is about the same clocks as one before it is left for the next commit.
   */
  #withoutConflicts(updates: Update[]): { batch: Update[]; rest: Update[] } {
    const { document } = this.#stored;
    const batch: Update[] = [];
    const ends = new Map<number, number>();
    for (const [n, update] of updates.entries()) {
      const { slices, member } = update;
      for (const { blocks } of slices) {
        for (const [client, { clock }] of blocks) {
          if (clock < (ends.get(client) ?? 0)) return { batch, rest: updates.slice(n) };
        }
      }
      if (slices.some((slice) => document.isInConflict(slice))) {
        this.#refuseConflict(member);
        return { batch, rest: updates.slice(n).filter((other) => other.member !== member) };
      }
      for (const { blocks } of slices) {
        for (const [client, { end }] of blocks) ends.set(client, end);
      }
      batch.push(update);
    }
    return { batch, rest: [] };
  }

  /** A member uses a client id and clock under which something else is stored: it is to take another. */
  #refuseConflict(member: Member): void {
    this.#arrivals.dropOf(member);
    this.#tally.refusedUpdates++;
    const { did } = member.peer;
    logger.warn("{did} wrote in {room} what differs from what is stored under its client id", {
      did,
      room: this.name,
    });
    this.#expel(member, CONFLICT, Close.CONFLICT);
  }

  /** Applies slices of updates together, and makes what is new in them durable, then visible. */
  async #commitTogether(updates: Update[]): Promise<void> {
    if (updates.length === 0) return;
    const { document } = this.#stored;
    let news: Outline | null;
    let count: number;
    try {
      ({ news, count } = this.#stored.apply(updates.flatMap(({ slices }) => slices)));
    } catch (error) {
      if (!(error instanceof PoisonedError)) throw error;
      return await this.#commitOneByOne(updates, error);
    }
    if (document.dropPending()) {
      for (const update of updates) update.isTorn = true;
    }
    if (news === null) return settle(updates, count);
    this.#noteAuthors(updates, news);
    const senders = new Set(updates.map(({ member }) => member));
    const begun = this.#clock.uptime();
    const about = { "tessera.room": this.name, "tessera.updates": updates.length };
    let missed: Uint8Array[] | null;
    try {
      missed = await traced("commit", about, () => this.#append(news.update, senders), true);
    } catch (error) {
      if (!(error instanceof StoreDownError && error.onlyWrites)) throw error;
      return await this.#sendAway(senders);
    }
    if (missed === null) return await this.#commitAllowed(updates);
    if (missed.some((update) => document.isInConflict(outline(update, true)))) {
      await this.#giveWay(updates, news.update, missed);
      return settle(updates, count);
    }
    settle(updates, count);
    this.#tally.updates += updates.filter(isDone).length;
    this.#tally.commitTime.observe((this.#clock.uptime() - begun) / 1_000);
    this.#tally.batchSize.observe(updates.length);
    this.#broadcast.publish(news.update, senders.size === 1 ? updates[0]!.member : undefined);
    await this.#merge(missed);
  }

  #noteAuthors(updates: Update[], news: Outline): void {
    const dids = new Map<number, string | null>();
    for (const { slices, member: { peer: { did } } } of updates) {
      for (const { blocks } of slices) {
        for (const client of blocks.keys()) {
          dids.set(client, (dids.get(client) ?? did) === did ? did : null);
        }
      }
    }
    for (const [client, { clock }] of news.blocks) {
      this.#authors.note(client, dids.get(client) ?? null, clock === 0);
    }
  }

  /** Another instance was quicker to store something else in the place of what some of these updates hold. */
  async #giveWay(updates: Update[], news: Uint8Array, missed: Uint8Array[]): Promise<void> {
    for (const update of [...missed, news]) this.#broadcast.publish(update);
    await this.#rebuild();
    const { document } = this.#stored;
    for (const { slices, member } of updates) {
      if (slices.some((slice) => document.isInConflict(slice))) this.#refuseConflict(member);
    }
  }

  /** Makes an update durable, if all its senders may write at that moment; returns null if not. */
  async #append(update: Uint8Array, senders: Set<Member>): Promise<Uint8Array[] | null> {
    while (true) {
      await this.#whenSure(senders);
      const all = [...senders];
      if (this.#closed || !all.every(({ rights }) => rights.mayWrite)) return null;
      const premise = all.some(({ premise }) => premise !== null) ? this.#doubt.premise : undefined;
      try {
        return await this.#stored.append(update, premise);
      } catch (error) {
        if (!(error instanceof PremiseError)) throw error;
        this.#doubt.refute(premise);
      }
    }
  }

  /** Somebody has lost the right to write what the document holds already. Starts again from the store. */
  async #commitAllowed(updates: Update[]): Promise<void> {
    if (this.#closed) return;
    await this.#rebuild();
    await this.#commit(updates.filter((update) => this.#isStillAllowed(update)));
  }

  /** As `#isAllowed`; if not, the rest of it goes too. */
  #isStillAllowed(update: Update): boolean {
    const isAllowed = this.#isAllowed(update);
    if (!isAllowed) this.#arrivals.drop(update);
    return isAllowed;
  }

  /**
   * The store can only be read. These members' updates are dropped, and they send them again when they
   * come back; the others go on reading.
   */
  async #sendAway(senders: Set<Member>): Promise<void> {
    await this.#rebuild();
    for (const member of senders) {
      this.#arrivals.dropOf(member);
      this.#expel(member, "the store cannot be written now", Close.TRY_AGAIN);
    }
  }

  /** One of these updates breaks the document. Starts again from the store, to find out which. */
  async #commitOneByOne(updates: Update[], error: PoisonedError): Promise<void> {
    await this.#rebuild();
    if (updates.length > 1) {
      for (const update of updates) if (this.#isStillAllowed(update)) await this.#commit([update]);
      return;
    }
    const [update] = updates as [Update];
    const { member } = update;
    this.#arrivals.drop(update);
    logger.warn("an update from {did} would have broken the document of {room}: {error}", {
      did: member.peer.did,
      room: this.name,
      error: error.cause,
    });
    this.#expel(member, error.message);
  }

  /** Answers what came with a batch, now that the batch is durable. */
  #answer(arrival: Exclude<Arrival, { type: "changed" }>): void | Promise<void> {
    const { member } = arrival;
    if (!this.#members.has(member)) return;
    switch (arrival.type) {
      case "joined":
        // Without this, what the peer wrote offline would never come up. A reader's may not.
        for (const client of member.clientIds) this.#doubtIfStranger(member, client);
        member.ask(() => this.#stored.document);
        return this.#presence.greetSoon(member);
      case "identified":
        if (this.#doubtIfStranger(member, arrival.client)) member.ask(() => this.#stored.document);
        return;
      case "refused":
        return this.#noteGap(member, arrival.outline);
      case "castOut":
        return this.#expel(member, NO_ACCESS, Close.FORBIDDEN);
      case "step1":
        this.#broadcast.sendFrom(member, member.question!);
        member.question = null;
        return;
      case "update":
        return this.#answerUpdate(arrival);
      case "syncStatus":
        return member.acknowledge(arrival.echo);
    }
  }

  #answerUpdate(update: Update): void | Promise<void> {
    const { member, isTorn, whole } = update;
    if (!isDone(update)) return;
    if (whole) member.noteAnswer();
    if (isTorn) return this.#answerTorn(update);
    if (whole) member.noteWhole(this.#stored.document);
  }

  async #answerTorn({ member, read, whole }: Update): Promise<void> {
    member.beginGap(false);
    await this.#noteGap(member, read!.outline);
    this.#askToFill(member);
    if (whole) member.noteWhole(this.#stored.document);
  }

  /** A member says that a client id is its own. */
  #identify(member: Member, client: number): void {
    if (member.clientIds.has(client)) return;
    member.clientIds.add(client);
    this.#enqueue({ type: "identified", member, client });
  }

  /**
   * A client that comes back sends what the document lacks of it. If others may have written under its
   * id while it was away, it is to be asked for everything, so that what it wrote is compared.
   */
  #doubtIfStranger(member: Member, client: number): boolean {
    if (!member.rights.mayWrite || this.#stored.document.clockOf(client) === 0) return false;
    return !this.#authors.isOnly(client, member.peer.did) && member.doubt(client);
  }

  /** Finds out what of an update that was not taken whole is missing. */
  async #noteGap(member: Member, outline: Outline): Promise<void> {
    const isKept = await inTurns(
      this.#turns,
      member.readGapInSteps(this.#stored.document, outline),
    );
    if (!isKept) this.#expel(member, TOO_MUCH, Close.TRY_AGAIN);
  }

  #askToFill(member: Member): void {
    member.askToFill(() => this.#stored.document, this.#broadcast.version);
  }

  /** An edit may turn out to be bad when its sender has long gone. */
  #expel(member: Member, reason: string, code: number = Close.BAD_FRAME): void {
    if (!this.#members.has(member)) return;
    member.peer.close(code, reason);
    this.#leave(member);
  }

  #leave(member: Member): void {
    if (!this.#members.delete(member)) return;
    this.#presence.leave(member);
    this.#tellIfIdle();
  }

  #tellIfIdle(): void {
    if (this.idle) this.#onIdle(this);
  }
}
