import { keyBytes, MAX_SET_KEY_BYTES } from "./key_bytes.ts";

/** What its owner wants committed: all of it, and only if its checks hold. */
export interface Member {
  /**
   * What it is about. Two about the same never share a commit: KV checks them all before it writes any,
   * so that both would win.
   */
  subject: string;
  /** What else it is about. */
  alsoAbout?: string[];
  checks: Deno.AtomicCheck[];
  /** What to set; a value of undefined deletes. Times in ms. */
  sets: { key: Deno.KvKey; value: unknown; expireIn?: number }[];
  /** Roughly what the values weigh, for packing. */
  bytes: number;
}

/**
 * The embedded KV allows 100 checks in one atomic, as documented; `denokv` 0.14 allows 10. Nobody can be
 * asked, so it is found out.
 */
const MAX_CHECKS = 100;
const SAFE_CHECKS = 10;
/** A member without a check counts as one with one: a hundred are enough to share a sync of the disk. */
const MIN_CHECKS = 1;
/** KV allows 819,200 bytes in one atomic. Keys that are set count twice; the rest is for those and framing. */
const MAX_BYTES = 700_000;

export interface GroupCommitOptions<M extends Member> {
  /**
   * How many commits may be under way at once, as soon as there is enough for another: a KV server takes
   * 44 ms for a large one (`spread_kv.ts`). Default: one, and each is seen by the next.
   */
  lanes?: number;
  /** Knows how many others are worth waiting for. Default: nobody is. */
  company?: {
    /** A member has come, and with it so many wait. */
    note(member: M, waiting: number): void;
    /** So many wait: resolves when their commit is to begin. */
    gather(waiting: number): Promise<void> | null;
  };
  /** Adds to a commit what others are to be told of its members. */
  announce?(atomic: Deno.AtomicOperation, members: M[]): void;
}

interface Waiting<M> {
  member: M;
  resolve(versionstamp: string | null): void;
  reject(error: unknown): void;
}

/**
 * Commits in groups: whoever waits while a commit is in flight rides the next one together. One
 * commit costs one sync of the disk however much it carries: 1,500 single commits a second, against
 * some 27,900 in groups of 100, on the embedded KV. Each subject has one place of a hundred in a
 * commit, so a flood about one does not keep the others waiting.
 */
export class GroupCommit<M extends Member = Member> {
  #waiting: Waiting<M>[] = [];
  /** Commits under way. */
  #running = 0;
  #maxChecks = MAX_CHECKS;

  constructor(
    private readonly kv: Deno.Kv,
    private readonly options: GroupCommitOptions<M> = {},
  ) {}

  /**
   * Commits one member. Resolves with its versionstamp when it is durable, or with null when one of
   * its checks failed and nothing of it was written.
   */
  commit(member: M): Promise<string | null> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ member, resolve, reject });
      this.options.company?.note(member, this.#waiting.length);
      const { lanes = 1 } = this.options;
      const isEnough = this.#running === 0 || this.#waiting.length >= this.#maxChecks;
      if (isEnough && this.#running < lanes) this.#run();
    });
  }

  async #run(): Promise<void> {
    this.#running++;
    // The runtime hands over the frames of many sockets in one tick: let them leave together.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      await this.options.company?.gather(this.#waiting.length);
      const group = this.#takeGroup();
      if (group.length > 0) await this.#commitGroup(group); // or another lane was there first
    }
    this.#running--;
  }

  #takeGroup(): Waiting<M>[] {
    const subjects = new Set<string>();
    const group: Waiting<M>[] = [];
    const left: Waiting<M>[] = [];
    let [checks, bytes, setKeys] = [0, 0, 0];
    for (const waiting of this.#waiting) {
      const { member } = waiting;
      const isTaken = subjects.has(member.subject) ||
        member.alsoAbout?.some((each) => subjects.has(each));
      const checksWith = checks + Math.max(member.checks.length, MIN_CHECKS);
      const bytesWith = bytes + member.bytes + sizeOf([...member.checks, ...member.sets]);
      const setKeysWith = setKeys + sizeOf(member.sets.filter(({ value }) => value !== undefined));
      const isTooMuch = checksWith > this.#maxChecks || bytesWith > MAX_BYTES ||
        setKeysWith > MAX_SET_KEY_BYTES;
      if (group.length > 0 && (isTooMuch || isTaken)) {
        left.push(waiting);
      } else {
        group.push(waiting);
        [checks, bytes, setKeys] = [checksWith, bytesWith, setKeysWith];
      }
      // Who is left behind is not overtaken by the next about the same.
      subjects.add(member.subject);
      member.alsoAbout?.forEach((each) => subjects.add(each));
    }
    this.#waiting = left;
    return group;
  }

  async #commitGroup(group: Waiting<M>[]): Promise<void> {
    try {
      const atomic = this.kv.atomic();
      for (const { member } of group) addTo(atomic, member);
      this.options.announce?.(atomic, group.map(({ member }) => member));
      const result = await atomic.commit();
      if (result.ok) {
        for (const waiting of group) waiting.resolve(result.versionstamp);
      } else if (group.length === 1) {
        group[0]!.resolve(null);
      } else {
        // Someone's check failed, and KV does not say whose: each tries alone.
        for (const waiting of group) await this.#commitGroup([waiting]);
      }
    } catch (error) {
      if (group.length > 1 && checksOf(group) > SAFE_CHECKS && isTooManyChecks(error)) {
        this.#maxChecks = SAFE_CHECKS;
        this.#waiting.unshift(...group); // nothing of it was written
      } else for (const waiting of group) waiting.reject(error);
    }
  }
}

/** Of keys: those of a hundred changes in rooms with long names are more than one atomic takes. */
function sizeOf(of: { key: Deno.KvKey }[]): number {
  return of.reduce((sum, { key }) => sum + keyBytes(key), 0);
}

function checksOf(group: Waiting<Member>[]): number {
  return group.reduce((sum, { member }) => sum + member.checks.length, 0);
}

function isTooManyChecks(error: unknown): boolean {
  return error instanceof Error && /too many checks/i.test(error.message);
}

function addTo(atomic: Deno.AtomicOperation, { checks, sets }: Member): void {
  atomic.check(...checks);
  for (const { key, value, expireIn } of sets) {
    if (value === undefined) atomic.delete(key);
    else atomic.set(key, value, { expireIn });
  }
}
