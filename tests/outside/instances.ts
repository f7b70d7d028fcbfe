import { assertEquals } from "@std/assert";
import type { TestPeer } from "../sync/test_peer.ts";
import { connectPeer } from "./clients.ts";
import type { ServerProcess } from "./server_process.ts";

/** Peers of one room, each of whom writes its own letter and knows how many of them are acknowledged. */
export class Writers {
  readonly #peers: { peer: TestPeer; letter: string; acknowledged: number }[] = [];

  /** One more writer, at this instance. */
  async join(server: ServerProcess, room: string): Promise<TestPeer> {
    const n = this.#peers.length;
    const peer = await connectPeer(server, `did:web:writer${n}.example`, room);
    await peer.hears("step2");
    this.#peers.push({ peer, letter: String.fromCharCode(97 + n), acknowledged: 0 });
    return peer;
  }

  /** Every connected writer writes so many letters, and waits until they are acknowledged. */
  async write(count: number, probe: number): Promise<void> {
    await Promise.all(this.#peers.map(async (writer) => {
      const { peer, letter } = writer;
      if (peer.closed !== null) return;
      for (let n = 0; n < count; n++) peer.text.insert(peer.text.length, letter);
      peer.probe(probe);
      await Promise.race([peer.hears(`ack ${probe}`), peer.isClosed()]);
      if (peer.heard.includes(`ack ${probe}`)) {
        writer.acknowledged = countOf(peer.text.toString(), letter);
      }
    }));
  }

  /** Holds a text against every acknowledgement. */
  check(text: string): void {
    for (const { letter, acknowledged } of this.#peers) {
      const missing = Math.max(0, acknowledged - countOf(text, letter));
      assertEquals(missing, 0, `${missing} acknowledged letters "${letter}" are missing`);
    }
  }

  leave(): void {
    for (const { peer } of this.#peers) peer.leave();
  }
}

function countOf(text: string, letter: string): number {
  return text.split(letter).length - 1;
}
