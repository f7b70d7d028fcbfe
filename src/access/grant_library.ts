import { getLogger } from "@logtape/logtape";
import { LRUCache } from "lru-cache";
import type { Clock } from "../clock.ts";
import type { Limits } from "../limits/limits.ts";
import { networkOf } from "../limits/rate_limit.ts";
import type { Repo, Repos } from "../repo/repos.ts";
import { Coalescer } from "../web/coalesce.ts";
import { LookupFailure, notAsked } from "../web/lookup_failure.ts";
import { type LookupShare, LookupShares, registrableDomain } from "../web/lookup_shares.ts";
import { type Grant, GrantBook, LIST, LIST_ITEM, readGrant, readItem } from "./grants.ts";

const logger = getLogger(["tessera", "access"]);

/** Grants and members in memory, some 20 MB. Who was pushed out is read again when asked for. */
const MAX_SIZE = 200_000;

/** Repositories that are read at once. An answer may have 1 MiB. */
const MAX_READS = 200;

/** Those that are left for accounts that have been read before: slow PDSs of new ones must not keep them out. */
const RESERVED_FOR_KNOWN = 50;

/** PDSs whose turns are remembered. */
const MAX_HOSTS = 1_000;

/** A PDS that gave no good answer is asked again so much later, in ms. */
const RETRY = 5_000;

/** Who rewrites a large list all the time is read less often: so much time for each request, in ms. */
const PER_REQUEST = 200;

/** A PDS is asked about the rooms in use so often at most, in ms: beyond ten accounts each waits its turn. */
const GAP = 200;

/** How long what was read is good, in ms. */
export interface LibraryTimes {
  /** It is used without asking whether anything has changed. */
  refresh: number;
  /** It stands in while the PDS cannot be reached. */
  max: number;
}

export interface GrantLibraryOptions {
  repos: Repos;
  /** The collection of grants: `<prefix>.grant`. */
  collection: string;
  clock: Clock;
  times: LibraryTimes;
  limits: Pick<Limits, "listReadsPerAddress" | "listReadsPerDomain">;
}

/** What is known of one account. */
interface Entry {
  book: GrantBook | null;
  /** When the book was last found to be what the repository says. */
  checkedAt: number;
  /** Not before is it read again, even if the repository has changed. */
  readAt: number;
  /** Why the last look failed, if it did, and until when that is believed. */
  failure: { error: LookupFailure; until: number } | null;
}

/** The grants of all accounts whose rooms are asked for, as their repositories have them. */
export class GrantLibrary {
  readonly #options: GrantLibraryOptions;
  readonly #entries = new LRUCache<string, Entry>({
    maxSize: MAX_SIZE,
    sizeCalculation: ({ book }) => book?.size ?? 1,
  });
  readonly #reads = new Coalescer<Entry>();
  readonly #shares: LookupShares;
  readonly #watched = new Map<string, { listeners: Set<() => void>; stop: () => void }>();
  /** When a PDS may next be asked about rooms in use. */
  readonly #turns = new LRUCache<string, number>({ max: MAX_HOSTS });

  constructor(options: GrantLibraryOptions) {
    this.#options = options;
    const { listReadsPerAddress: perNetwork, listReadsPerDomain: perDomain } = options.limits;
    const bounds = { all: MAX_READS, reservedForKnown: RESERVED_FOR_KNOWN, perNetwork, perDomain };
    this.#shares = new LookupShares(bounds);
  }

  /**
   * What an account's repository says now, give or take `refresh`; if its PDS cannot be reached, what it
   * said at most `max` ago.
   * @param address Whose request needs it, if it is a request: reads are shared among addresses.
   * @throws {LookupFailure} when that is not known
   */
  async of(account: string, address?: string): Promise<GrantBook> {
    const known = this.#entries.get(account);
    if (known !== undefined && this.#isGood(known)) return this.#open(known);
    return this.#open(await this.#look(account, address));
  }

  /** Calls back when what an account's repository says may have changed. Returns a function that stops it. */
  watch(account: string, onChange: () => void): () => void {
    const watched = this.#watched.get(account) ??
      { listeners: new Set(), stop: this.#keepLooking(account) };
    this.#watched.set(account, watched);
    watched.listeners.add(onChange);
    return () => {
      watched.listeners.delete(onChange);
      if (watched.listeners.size > 0 || this.#watched.get(account) !== watched) return;
      this.#watched.delete(account);
      watched.stop();
    };
  }

  /** Whether there is nothing to ask before it is used. */
  #isGood({ book, checkedAt, failure }: Entry): boolean {
    const now = this.#options.clock.uptime();
    if (failure !== null) return now < failure.until;
    return book !== null && now - checkedAt < this.#options.times.refresh;
  }

  /** @throws {LookupFailure} */
  #open({ book, checkedAt, failure }: Entry): GrantBook {
    if (failure === null) return book!;
    const age = this.#options.clock.uptime() - checkedAt;
    if (book === null || !failure.error.unreachable || age >= this.#options.times.max) {
      throw failure.error;
    }
    return book;
  }

  /** Looks an account up, once for however many who ask. */
  async #look(account: string, address: string | undefined): Promise<Entry> {
    try {
      const repo = await this.#options.repos.find(account, { address });
      const domain = repo === null ? null : await registrableDomain(repo.hostname);
      const running = this.#reads.running(account);
      if (running) return await running;
      const known = this.#entries.get(account);
      if (known !== undefined && this.#isGood(known)) return known;
      const isKnown = known !== undefined && known.book !== null;
      const share = { domain, network: address === undefined ? null : networkOf(address), isKnown };
      // Not within the read: that this caller's share is used up must not fail others who ask.
      const leave = this.#take(share);
      return await this.#reads.start(account, async () => {
        const entry = await this.#lookAnew(account, repo, known, share, leave);
        this.#entries.set(account, entry);
        return entry;
      });
    } catch (error) {
      if (error instanceof LookupFailure) return this.#failed(this.#entries.get(account), error, 0);
      throw error;
    }
  }

  /** Takes a share of the reads. @throws {LookupFailure} when it is used up */
  #take(share: LookupShare): () => void {
    const leave = this.#shares.take(share);
    if (leave === null) throw notAsked("The PDS of the room's owner", 1);
    return leave;
  }

  async #lookAnew(
    account: string,
    repo: Repo | null,
    known: Entry | undefined,
    share: LookupShare,
    leave: () => void,
  ): Promise<Entry> {
    const { clock } = this.#options;
    const startedAt = clock.uptime();
    try {
      const book = await this.#read(repo, known).finally(leave)
        .catch((error) => this.#readMoved(account, share, error));
      const readAt = book === known?.book
        ? known.readAt
        : clock.uptime() + (repo?.requests ?? 0) * PER_REQUEST;
      return { book, checkedAt: startedAt, readAt, failure: null };
    } catch (error) {
      if (!(error instanceof LookupFailure)) throw error;
      if (!known?.failure) {
        logger.warn("the lists of {account} cannot be read: {error}", { account, error });
      }
      return this.#failed(known, error, RETRY);
    }
  }

  #failed(known: Entry | undefined, error: LookupFailure, patience: number): Entry {
    const { book = null, checkedAt = -Infinity, readAt = -Infinity } = known ?? {};
    const until = this.#options.clock.uptime() + patience;
    return { book, checkedAt, readAt, failure: { error, until } };
  }

  /** The account may have moved to another PDS since its DID document was looked up. */
  async #readMoved(
    account: string,
    share: LookupShare,
    error: unknown,
  ): Promise<GrantBook> {
    if (!(error instanceof LookupFailure) || error.unreachable) throw error;
    const repo = await this.#options.repos.find(account, { anew: true });
    const domain = repo === null ? null : await registrableDomain(repo.hostname);
    const leave = this.#take({ ...share, domain });
    return await this.#read(repo, undefined).finally(leave);
  }

  /** What the repository says; what is known, if it has not changed. */
  async #read(repo: Repo | null, known: Entry | undefined): Promise<GrantBook> {
    if (repo === null) return new GrantBook(null, [], new Map());
    // Before anything else is read: what changes on the way is another revision.
    const revision = await repo.revision();
    const book = known?.book ?? null;
    if (book !== null && book.revision === revision) return book;
    if (book !== null && this.#options.clock.uptime() < known!.readAt) return book;
    const grants: Grant[] = [];
    for await (const { value } of repo.records(this.#options.collection)) {
      const grant = readGrant(value);
      if (grant !== null) grants.push(grant);
    }
    return new GrantBook(revision, grants, await this.#readLists(repo, grants));
  }

  /** The members of those lists of the account's own that grants name. */
  async #readLists(repo: Repo, grants: Grant[]): Promise<Map<string, Set<string>>> {
    const lists = new Map<string, Set<string>>();
    const named = new Set(grants.map(({ list }) => list));
    if (!grants.some(({ list }) => list !== null)) return lists;
    for await (const { uri } of repo.records(LIST)) {
      if (named.has(uri)) lists.set(uri, new Set());
    }
    if (lists.size === 0) return lists;
    for await (const { value } of repo.records(LIST_ITEM)) {
      const item = readItem(value);
      if (item !== null) lists.get(item.list)?.add(item.subject);
    }
    return lists;
  }

  /** Looks again and again, while rooms of the account are in use. */
  #keepLooking(account: string): () => void {
    const { clock, times } = this.#options;
    let stopped = false;
    let stop = () => {};
    let seen = this.#entries.get(account)?.book;
    const again = () => {
      stop = clock.after(times.refresh, async () => {
        await this.#turnAt(account);
        const book = stopped ? seen : await this.of(account).catch(() => undefined);
        if (stopped) return;
        if (book !== seen) this.#watched.get(account)?.listeners.forEach((onChange) => onChange());
        seen = book;
        again();
      });
    };
    again();
    return () => {
      stopped = true;
      stop();
    };
  }

  /** Resolves when the account's PDS may be asked once more about rooms in use. */
  async #turnAt(account: string): Promise<void> {
    const { clock, repos } = this.#options;
    const host = await repos.find(account).then((repo) => repo?.host, () => undefined);
    if (host === undefined) return;
    const now = clock.uptime();
    const turn = Math.max(now, this.#turns.get(host) ?? 0);
    this.#turns.set(host, turn + GAP);
    if (turn > now) await new Promise<void>((resolve) => clock.after(turn - now, resolve));
  }
}
