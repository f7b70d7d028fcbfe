import { setImmediate } from "node:timers";
import * as encoding from "lib0/encoding";
import type { Rooms } from "../../src/sync/rooms.ts";
import type { Seat } from "../../src/sync/room.ts";
import type { Chance } from "../sim/chance.ts";
import { awarenessFrame, syncFrame, TestPeer, updatesOf } from "../sync/test_peer.ts";
import { world } from "../sync/world.ts";
import { anyFrame, HUGE_NUMBERS, realUpdate } from "./frames.ts";

/** What may wait in a peer's buffer before it is sent nothing more. */
const BUDGET_BYTES = 1024 * 1024;

/** What a room may keep for one peer here: what waits for a commit, and as much again of probes. */
const HELD_BYTES = 1024 * 1024;
const MAX_HELD_BYTES = HELD_BYTES + BUDGET_BYTES + 256 * 1024;

const PEERS = 4;
const CROWD = 60;
const STEPS = 250;

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** A peer whose network takes nothing: it counts what it is sent. */
class NeverReads extends TestPeer {
  /** Sent although its buffer was full already. */
  excess: Uint8Array | null = null;
  seat: Seat | null = null;

  enter(rooms: Rooms): this {
    this.seat = rooms.join("room", this);
    this.sit({ receive: this.seat.receive, become: this.seat.become, leave: () => {} });
    return this;
  }

  override send(frame: Uint8Array): void {
    if (this.buffered > BUDGET_BYTES) this.excess = frame;
    this.buffered += frame.length;
  }
}

const GAPPED = updatesOf((text) => text.insert(0, "x"), (text) => text.insert(1, "y"))[1]!;

/** Entries of awareness whose client id or clock is beyond all numbers. */
function hugeAwareness(chance: Chance): Uint8Array {
  const parts = [[1], [7], [1], [2, 123, 125]];
  parts[chance.below(3)] = chance.pick(HUGE_NUMBERS);
  return awarenessFrame(Uint8Array.from(parts.flat()));
}

function ownPresence(chance: Chance): Uint8Array {
  const text = JSON.stringify({ name: "m", more: "x".repeat(chance.below(4_000)) });
  return awarenessFrame(encoding.encode((encoder) => {
    encoding.writeVarUint(encoder, 1);
    encoding.writeVarUint(encoder, chance.below(50));
    encoding.writeVarUint(encoder, chance.below(1_000));
    encoding.writeVarString(encoder, text);
  }));
}

function probe(chance: Chance): Uint8Array {
  const bytes = new Uint8Array(1 + chance.below(chance.pick([4, 64 * 1024])));
  bytes[0] = 102;
  return bytes;
}

/** Sends one of what is answered, many times over. */
function flood(chance: Chance, peer: NeverReads): void {
  const kind = chance.pick([0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 3, 4, 5, 6, 7]);
  for (let n = 1 + chance.below(50); n > 0 && peer.closed === null; n--) {
    switch (kind) {
      case 0:
        peer.queryAwareness();
        break;
      case 1:
        peer.sendRaw(probe(chance));
        break;
      case 2:
        peer.sendRaw(syncFrame(0, new Uint8Array([0])));
        break;
      case 3:
        peer.sendRaw(ownPresence(chance));
        break;
      case 4:
        peer.sendUpdate(GAPPED);
        break;
      case 5:
        peer.sendUpdate(realUpdate(chance));
        break;
      case 6:
        peer.become(chance.pick(["reader", "writer"]));
        break;
      default:
        peer.sendRaw(chance.once(4) ? hugeAwareness(chance) : anyFrame(chance));
    }
  }
}

/** Lets peers that never read send whatever is answered. Returns what they made a room keep, if too much. */
export async function neverRead(chance: Chance): Promise<string | null> {
  const { rooms, clock } = world({ maxRate: 30 }, { heldBytes: HELD_BYTES });
  const alice = new TestPeer("did:alice").join(rooms, "room");
  for (let n = 0; n < 20; n++) alice.text.insert(0, String(n % 10).repeat(20_000));
  for (let n = 0; n < CROWD; n++) {
    const peer = new NeverReads(`did:${n}`).enter(rooms);
    peer.awareness.setLocalState({ name: "x".repeat(500) });
    peer.announce();
  }
  const come = (n: number) => new NeverReads(`did:mallory${n}`).enter(rooms);
  const peers = Array.from({ length: PEERS }, (_, n) => come(n));
  await turn();
  for (let step = 0; step < STEPS; step++) {
    const n = chance.below(PEERS);
    const peer = peers[n]!;
    flood(chance, peer);
    if (chance.once(3)) await turn();
    if (chance.once(10)) clock.advance(chance.pick([20, 250, 1_000, 31_000]));
    if (chance.once(5)) alice.text.insert(0, "y");
    const { excess } = peer;
    if (excess !== null) {
      return `a peer whose buffer was full was sent ${
        excess.slice(0, 40)
      } (${excess.length} bytes)`;
    }
    if (peer.seat!.held > MAX_HELD_BYTES) return `${peer.seat!.held} bytes are kept for a peer`;
    if (peer.closed !== null) {
      await peer.seat!.leave();
      peers[n] = come(n);
    }
    if (alice.closed !== null) return `alice was closed: ${alice.closed.reason}`;
  }
  alice.heard.length = 0;
  alice.probe(1);
  for (let n = 0; n < 10; n++) await turn();
  return alice.heard.includes("ack 1") ? null : "alice is not acknowledged";
}
