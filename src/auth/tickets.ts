import { createHash, randomBytes } from "node:crypto";
import type { Role } from "../access/policy.ts";
import type { Clock } from "../clock.ts";
import { Refusal } from "../refusal.ts";
import { GroupCommit } from "../store/kv/group_commit.ts";

/** What a ticket stands for. */
export interface Grant {
  did: string;
  /** The room it was asked for; null when it is for no room in particular. */
  room: string | null;
  /** The role that its holder had in the room when it was issued; null without a room. */
  role: Role | null;
}

/** A ticket, fresh from the press. */
export interface IssuedTicket {
  /** The secret itself, kept nowhere else. */
  ticket: string;
  /** Milliseconds since the Unix epoch. */
  expiresAt: number;
}

interface StoredGrant {
  grant: Grant;
  /** By the clock on the wall, for whoever redeems it. */
  expiresAt: number;
  /** By the uptime of who has issued it, for itself: nobody can set that back. */
  issuer: string;
  expiresAtUptime: number;
}

/** A ticket is good for one handshake, which follows at once: 30 s is a slow network's worth. */
export const TICKET_TTL = 30_000;

/** 256 bits, out of reach of any guesser. */
const TICKET_BYTES = 32;
const TICKET_SHAPE = /^[A-Za-z0-9_-]{43}$/;

/** What a grant weighs at most: a DID of 261 bytes, a room's name of 512, and what is around them. */
const STORED_BYTES = 1_024;

/** No ticket is about another: 3,300 a second on a KV server with 500 people at once, of 130 with one lane. */
const LANES = 8;

/** Single-use tickets in KV, where only their hashes lie. */
export class Tickets {
  readonly #commits: GroupCommit;
  readonly #id = randomBytes(9).toString("base64url");

  constructor(private readonly kv: Deno.Kv, private readonly clock: Clock) {
    this.#commits = new GroupCommit(kv, { lanes: LANES });
  }

  /** Issues a ticket for a grant. */
  async issue(grant: Grant): Promise<IssuedTicket> {
    const ticket = randomBytes(TICKET_BYTES).toString("base64url");
    const expiresAt = this.clock.now() + TICKET_TTL;
    const expiresAtUptime = this.clock.uptime() + TICKET_TTL;
    const stored: StoredGrant = { grant, expiresAt, issuer: this.#id, expiresAtUptime };
    // KV only promises not to expire a key earlier; `redeem` looks at the time itself.
    const set = { key: ticketKey(ticket), value: stored, expireIn: 2 * TICKET_TTL };
    await this.#commits.commit({ subject: ticket, checks: [], sets: [set], bytes: STORED_BYTES });
    return { ticket, expiresAt };
  }

  /**
   * Redeems a ticket: at most one caller ever gets its grant.
   * @param check Throws if the grant is of no use to the caller; then the ticket is not spent.
   * @throws {Refusal} InvalidTicket: it is unknown, used or expired
   */
  async redeem(ticket: string, check: (grant: Grant) => void = () => {}): Promise<Grant> {
    if (!TICKET_SHAPE.test(ticket)) throw noTicket(ticket);
    const key = ticketKey(ticket);
    const entry = await this.kv.get<StoredGrant>(key);
    if (entry.value === null || this.#isOver(entry.value)) throw noTicket(ticket);
    check(entry.value.grant);
    const sets = [{ key, value: undefined }];
    const taken = await this.#commits.commit({ subject: ticket, checks: [entry], sets, bytes: 0 });
    if (taken === null || this.#isOver(entry.value)) throw noTicket(ticket);
    return entry.value.grant;
  }

  #isOver({ issuer, expiresAt, expiresAtUptime }: StoredGrant): boolean {
    if (issuer === this.#id) return expiresAtUptime <= this.clock.uptime();
    return expiresAt <= this.clock.now();
  }
}

/** Why a token opens no socket. Which of the three it is would help only someone who guesses. */
export function noTicket(token: string | null): Refusal {
  return token === null
    ? new Refusal("AuthMissing", 401, "A socket needs a ticket in Sec-WebSocket-Protocol.")
    : new Refusal("InvalidTicket", 401, "The ticket is unknown, used or expired.");
}

function ticketKey(ticket: string): Deno.KvKey {
  return ["ticket", createHash("sha256").update(ticket).digest("base64url")];
}
