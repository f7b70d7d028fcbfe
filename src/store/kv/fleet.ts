import { getLogger } from "@logtape/logtape";
import type { Clock } from "../../clock.ts";
import { deleteKeys } from "./delete_keys.ts";
import { follow } from "./follow.ts";
import {
  eraKey,
  feedKey,
  instanceKey,
  instancePrefix,
  instancesKey,
  presencePrefix,
} from "./layout.ts";
import { levelOf } from "../errors.ts";

const logger = getLogger(["tessera", "store"]);

/** How often an instance shows that it lives, and looks who else does, in ms. */
const BEAT = 3_000;

/** An instance that has not shown itself for so long, in ms, is gone: three beats missed, and a slow store. */
const SILENCE = 12_000;

interface Other {
  era: number;
  /** When its era was last seen to change, by our clock: nobody's clock is compared with another's. */
  changedAt: number;
}

/** The instances of the service that share one store. */
export class Fleet {
  /** This instance. */
  readonly id: string = crypto.randomUUID();
  /** The other ones that live. */
  readonly others = new Set<string>();
  /** Called when an instance has come or gone, and when this one has come back from the dead. */
  onChange = () => {};
  readonly #seen = new Map<string, Other>();
  #era = 0;
  /** No other instance has lived since the era was last read: none can have had a later one. */
  #isAlone = false;
  /** The reading of the era that is under way, and the one that comes after it. */
  #reading: Promise<void> = Promise.resolve();
  #nextReading: Promise<void> | null = null;
  #isShown = false;
  #stop = () => {};
  #stopFollowing = () => {};
  #looking: Promise<void> = Promise.resolve();

  constructor(private readonly kv: Deno.Kv, private readonly clock: Clock) {}

  /** Later, with each beat, than that of any instance was before, also of those that have died. */
  get era(): number {
    return this.#era;
  }

  /**
   * Resolves once the era is later than that of any other instance was when this was called. Calls that
   * come while one is under way share the next one.
   */
  advance(): Promise<void> {
    if (this.#isAlone) return Promise.resolve();
    this.#nextReading ??= this.#reading.catch(() => {}).then(() => {
      this.#nextReading = null;
      return this.#reading = this.#countOn();
    });
    return this.#nextReading;
  }

  async #countOn(): Promise<void> {
    await this.kv.atomic().sum(eraKey, 1n).commit();
    const { value } = await this.kv.get<Deno.KvU64>(eraKey);
    this.#era = Math.max(this.#era, Number(value!.value));
  }

  /** Joins: the others hear of this instance, and it of them; later, if the store does not answer now. */
  async join(): Promise<void> {
    await this.#live();
    this.#stopFollowing = follow(this.kv, this.clock, [instancesKey], {
      onValue: () => this.#lookSoon(),
      onError: (error) =>
        logger[levelOf(error)]("the watch of instances broke off: {error}", { error }),
    });
    this.#keepBeating();
  }

  /** Leaves, and takes along what it told. If the store does not answer, the others find out by themselves. */
  async leave(): Promise<void> {
    this.#stop();
    this.#stopFollowing();
    await this.#looking;
    try {
      await this.#forget(this.id);
      await this.kv.set(instancesKey, this.#era);
    } catch (error) {
      logger[levelOf(error)]("this instance could not say that it leaves: {error}", { error });
    }
  }

  #keepBeating(): void {
    this.#stop = this.clock.after(BEAT, () => {
      this.#live();
      this.#keepBeating();
    });
  }

  async #live(): Promise<void> {
    try {
      await this.#show();
      this.#lookSoon();
    } catch (error) {
      logger[levelOf(error)]("this instance could not show that it lives: {error}", { error });
    }
    await this.#looking;
  }

  async #show(): Promise<void> {
    const key = instanceKey(this.id);
    const isKnown = (await this.kv.get(key)).value !== null;
    if (!this.#isShown) await this.#learnOldEra();
    await this.#countOn();
    this.#isAlone = this.#isShown && this.others.size === 0;
    const atomic = this.kv.atomic().set(key, this.#era, { expireIn: 60_000 });
    if (!isKnown) atomic.set(instancesKey, this.#era);
    await atomic.commit();
    // It was silent for so long that the others took it for dead, and cleaned up after it.
    if (!isKnown && this.#isShown) this.onChange();
    this.#isShown = true;
  }

  /** Version 0.1 had no counter: the era was in what instances showed. */
  async #learnOldEra(): Promise<void> {
    let era = Number((await this.kv.get(instancesKey)).value ?? 0);
    for await (const { value } of this.kv.list<number>({ prefix: instancePrefix })) {
      era = Math.max(era, value);
    }
    await this.kv.atomic().max(eraKey, BigInt(era)).commit();
  }

  #lookSoon(): void {
    this.#looking = this.#looking.then(() => this.#look()).catch((error) => {
      logger[levelOf(error)]("the other instances could not be looked up: {error}", { error });
    });
  }

  /** Looks who lives, and cleans up after who does not. */
  async #look(): Promise<void> {
    const before = [...this.others].join();
    const now = this.clock.uptime();
    const listed = new Set<string>();
    for await (const { key, value } of this.kv.list<number>({ prefix: instancePrefix })) {
      const id = String(key[1]);
      if (id === this.id) continue;
      listed.add(id);
      if (this.#seen.get(id)?.era !== value) this.#seen.set(id, { era: value, changedAt: now });
    }
    for (const [id, { changedAt }] of this.#seen) {
      const lives = listed.has(id) && now - changedAt < SILENCE;
      if (lives) this.others.add(id);
      else {
        this.others.delete(id);
        this.#seen.delete(id);
        if (listed.has(id)) await this.#forget(id);
      }
    }
    if (this.others.size > 0) this.#isAlone = false;
    if ([...this.others].join() !== before) this.onChange();
  }

  async #forget(id: string): Promise<void> {
    const present = await Array.fromAsync(this.kv.list({ prefix: presencePrefix(id) }));
    const keys = present.map(({ key }) => key);
    await deleteKeys(this.kv, [...keys, feedKey(id), instanceKey(id)]);
  }
}
