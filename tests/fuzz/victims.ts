import { setImmediate } from "node:timers";
import * as Y from "yjs";
import { TestPeer } from "../sync/test_peer.ts";
import { storedText, world } from "../sync/world.ts";

/** How long a frame may keep everybody else waiting, in ms. */
const STALL_MS = 50;

/** Lets everything run that waits for nothing but its turn. */
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** Alice and Bob, who work in a room, and Mallory, who sends frames there. */
export class Victims {
  readonly #world = world();
  readonly #alice = new TestPeer("did:alice").join(this.#world.rooms, "room");
  readonly #bob = new TestPeer("did:bob").join(this.#world.rooms, "room");
  #mallory: Mallory | null = null;
  #count = 0;
  /** The longest that a frame took, in ms. */
  slowest = 0;

  /** Mallory sends a frame. Returns what is wrong with how it was taken, if anything. */
  async take(frame: Uint8Array): Promise<string | null> {
    this.#mallory ??= await this.#come();
    const begun = performance.now();
    const choked = await this.#watch(async () => {
      this.#mallory!.sendRaw(frame);
      await turn();
    });
    const took = performance.now() - begun;
    if (choked !== null) return choked;
    this.slowest = Math.max(this.slowest, took);
    if (this.#mallory.closed !== null) {
      const { code } = this.#mallory.closed;
      this.#mallory = null;
      if (code !== 4400 && code !== 4409) return `it was closed with ${code}`;
    }
    for (const [name, { closed }] of [["alice", this.#alice], ["bob", this.#bob]] as const) {
      if (closed !== null) return `${name} was closed with ${closed.code}: ${closed.reason}`;
    }
    return took > STALL_MS ? `it took ${Math.round(took)} ms` : null;
  }

  /** Whether Alice and Bob can still work, and what is stored can still be read. */
  async check(): Promise<string | null> {
    const mark = `<${this.#count++}>`;
    this.#alice.doc.getMap("marks").set("mark", mark);
    this.#alice.probe(this.#count % 100);
    await turn();
    await turn();
    if (!this.#alice.heard.includes(`ack ${this.#count % 100}`)) return "alice is not acknowledged";
    if (this.#bob.doc.getMap("marks").get("mark") !== mark) {
      return "bob does not see what alice does";
    }
    this.#alice.heard.length = this.#bob.heard.length = 0;
    const state = (peer: TestPeer) => Y.encodeStateVector(peer.doc).toBase64();
    if (state(this.#alice) !== state(this.#bob)) return "alice and bob differ";
    await storedText(this.#world.store, "room");
    return null;
  }

  /** Does something. Returns what it threw, or what y-protocols could not apply in a client, if so. */
  async #watch(deed: () => Promise<void>): Promise<string | null> {
    const { error: say } = console;
    let choked: string | null = null;
    console.error = (words, error) => choked = `a client choked: ${words} ${error}`;
    try {
      await deed();
    } catch (error) {
      return `it threw past the room: ${error}`;
    } finally {
      console.error = say;
    }
    return choked;
  }

  async #come(): Promise<Mallory> {
    const mallory = new Mallory("did:mallory").join(this.#world.rooms, "room");
    await turn();
    return mallory;
  }
}

/** A peer that hears nothing: what it is told is not what is tried here. */
class Mallory extends TestPeer {
  override send(): void {}
}
