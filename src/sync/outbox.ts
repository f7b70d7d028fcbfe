import type { Clock } from "../clock.ts";
import type { Peer } from "./peer.ts";
import type { SendBudget } from "./send_budget.ts";

/**
 * How many bytes may wait in a connection's buffer before the peer is given time. A slow peer costs
 * this much and one frame more; a fast one empties it many times a second.
 */
export const BUDGET_BYTES = 1024 * 1024;

/** So much may wait in its buffer even when its account's budget is spent: what keeps a client going. */
const LEAST_BYTES = 64 * 1024;

/** A peer that takes nothing at all for this long is cut off: a phone in a tunnel comes back sooner. */
const PATIENCE_MS = 30_000;

/** What a probe costs beside its bytes. */
const PROBE_OVERHEAD_BYTES = 64;

/** Answers of which a peer needs only the latest. */
export type Answer = "role" | "refusal" | "presenceFault" | "step1" | "queryAwareness" | "presence";

/**
 * The only way from a room to one peer. A peer whose buffer is full is sent nothing. Of each kind of
 * answer that it is owed the latest is kept, as a function that makes the frame when its turn comes;
 * echoes of probes are all kept, in order, up to a budget of bytes.
 */
export class Outbox {
  readonly #owed = new Map<Answer, () => Uint8Array | null>();
  #echoes: Uint8Array[] = [];
  /** The size of an owed frame that the buffer had no room for: it is not made again before it has. */
  #needed = 0;
  #probeBytes = 0;
  #buffered = 0;
  /** When the peer last took something. */
  #movedAt: number;
  #sentAt: number;

  /** @param onOwed Called when the peer is owed something: `flush` is to be called soon. */
  constructor(
    private readonly peer: Pick<Peer, "buffered" | "send">,
    private readonly budget: SendBudget,
    private readonly clock: Clock,
    private readonly onOwed: () => void,
  ) {
    this.#movedAt = this.#sentAt = clock.uptime();
  }

  /** Bytes that wait in the peer's buffer. */
  get buffered(): number {
    return this.peer.buffered;
  }

  /** The peer's buffer has no room. */
  get full(): boolean {
    return !this.hasRoom(0);
  }

  /** Whether a frame of this size may be sent. */
  hasRoom(bytes: number): boolean {
    const { buffered } = this.peer;
    if (buffered > BUDGET_BYTES) return false;
    return buffered + bytes <= LEAST_BYTES || this.budget.hasRoom(bytes);
  }

  /** The peer is owed something that its buffer had no room for. */
  get isOwing(): boolean {
    return this.#owed.size > 0 || this.#echoes.length > 0;
  }

  /** For how long the peer has been sent nothing, in ms. */
  get silence(): number {
    return this.clock.uptime() - this.#sentAt;
  }

  /** Bytes that are kept for the peer's probes: those that wait for a commit, and the echoes that are owed. */
  get held(): number {
    return this.#probeBytes;
  }

  /** Sends a frame of the document or of presence; its sender looks at `hasRoom` first. */
  send(frame: Uint8Array): void {
    this.#look();
    this.#sentAt = this.clock.uptime();
    this.peer.send(frame);
    this.budget.spend(frame.length);
    this.#buffered = this.peer.buffered;
  }

  /** Sends an answer now, or, in the place of an earlier one of its kind, once the buffer has room. */
  answer(kind: Answer, make: () => Uint8Array | null): void {
    if (this.full || this.isOwing) return this.owe(kind, make);
    const frame = make();
    if (frame !== null) this.send(frame);
  }

  /** Sends an answer later, in the place of an earlier one of its kind. */
  owe(kind: Answer, make: () => Uint8Array | null): void {
    this.#owed.set(kind, make);
    this.onOwed();
  }

  /** A probe has come. Returns false if more of them would then be kept than a peer may have. */
  holdProbe(probe: Uint8Array): boolean {
    this.#probeBytes += probe.length + PROBE_OVERHEAD_BYTES;
    return this.#probeBytes <= BUDGET_BYTES;
  }

  /** Echoes a probe that was held, after all earlier ones. */
  echo(probe: Uint8Array): void {
    if (!this.full && !this.isOwing) return this.#sendEcho(probe);
    this.#echoes.push(probe);
    this.onOwed();
  }

  /** Sends what is owed, as far as the buffer has room. */
  flush(): void {
    for (const [kind, make] of this.#owed) {
      if (!this.hasRoom(this.#needed)) return;
      const frame = make();
      this.#needed = frame?.length ?? 0;
      if (!this.hasRoom(this.#needed)) return;
      this.#needed = 0;
      this.#owed.delete(kind);
      if (frame !== null) this.send(frame);
    }
    let sent = 0;
    while (sent < this.#echoes.length && !this.full) this.#sendEcho(this.#echoes[sent++]!);
    this.#echoes = this.#echoes.slice(sent);
  }

  /** Whether the peer has taken nothing for so long that it is to be cut off. */
  get isStuck(): boolean {
    this.#look();
    return this.clock.uptime() - this.#movedAt > PATIENCE_MS;
  }

  #sendEcho(probe: Uint8Array): void {
    this.#probeBytes -= probe.length + PROBE_OVERHEAD_BYTES;
    this.send(probe);
  }

  #look(): void {
    const { buffered } = this.peer;
    if (buffered < this.#buffered || buffered === 0) this.#movedAt = this.clock.uptime();
    this.#buffered = buffered;
  }
}
