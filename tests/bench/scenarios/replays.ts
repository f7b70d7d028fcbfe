import * as Y from "yjs";
import { Histogram } from "../histogram.ts";
import { MeasuringWindow, percentiles } from "../measuring_window.ts";
import { until } from "../pause.ts";
import { type Edit, replay } from "../trace.ts";
import { Client } from "../wire/client.ts";
import { update } from "../wire/messages.ts";
import { everyone, type Scenario } from "./scenario.ts";

const ROOM = "replay";

/** How many characters a writer may be ahead of the reader. */
const IN_FLIGHT = 64;

/** In ms. */
const PATIENCE = 50_000;

/** A whole trace through sockets, by those who wrote it, as fast as one who reads hears it. */
export function replays(name: string): Scenario {
  return {
    name,
    about: `each writer of ${name} sends its keystrokes, one by one, when it has heard what it ` +
      `had read then, and is ${IN_FLIGHT} characters ahead of a reader at most`,
    isShort: false,
    headline: { metric: "keystrokes per CPU s", better: "more" },
    suits: everyone,
    async run({ contender, start }) {
      const { writers, endContent } = await replay(name);
      const server = await start();
      const reader = await Client.join(server, ROOM, { keeps: true });
      const typists = await Promise.all(
        writers.map(async ({ id, edits }) =>
          new Typist(id, edits, await Client.join(server, ROOM, { keeps: true }), reader)
        ),
      );
      const latency = new Histogram();
      const typeOn = () => typists.forEach((typist) => typist.type());
      for (const { client } of typists) client.onNews = typeOn;
      reader.onNews = (id, from, to) => {
        const typist = typists.find((typist) => typist.id === id)!;
        for (let clock = from; clock < to; clock++) latency.add(typist.age(clock));
        typeOn();
      };

      const sent = () => typists.reduce((sum, typist) => sum + typist.sent, 0);
      const window = await MeasuringWindow.open(server, sent);
      typeOn();
      const isHeard = () => typists.every((typist) => typist.isHeard());
      await until(isHeard, PATIENCE, () => `${sent()} keystrokes were sent, and not all heard`);
      const metrics = await window.close("keystrokes");

      await readsAs(endContent, reader);
      for (const { client, edits } of typists) await readsAs(endContent, client, edits);
      if (contender.syncs) {
        await readsAs(endContent, await Client.join(server, ROOM, { keeps: true }));
      }
      return { ...metrics, ...percentiles(latency) };
    },
  };
}

/** A writer of a trace, who types it again. */
class Typist {
  /** How many of its edits it has sent. */
  sent = 0;
  readonly #sentAt: Float64Array;

  constructor(
    readonly id: number,
    readonly edits: readonly Edit[],
    readonly client: Client,
    private readonly reader: Client,
  ) {
    this.#sentAt = new Float64Array(edits.at(-1)!.clock);
  }

  /** Sends what can be sent now. */
  type(): void {
    for (let edit; (edit = this.edits[this.sent]) && this.#may(edit); this.sent++) {
      this.#sentAt.fill(performance.now(), this.client.known.get(this.id) ?? 0, edit.clock);
      this.client.send(update(edit.update));
      this.client.known.set(this.id, edit.clock); // some servers send it back to its author, some do not
    }
  }

  /** How long ago a character was sent, in ms. */
  age(clock: number): number {
    return performance.now() - this.#sentAt[clock]!;
  }

  /** Whether all that was typed has been heard; what was only taken away is not counted. */
  isHeard(): boolean {
    return this.sent === this.edits.length && this.reader.has(this.id, this.#sentAt.length);
  }

  #may({ clock, needs }: Edit): boolean {
    if (clock > IN_FLIGHT && !this.reader.has(this.id, clock - IN_FLIGHT)) return false;
    return needs.entries().every(([other, theirs]) => this.client.has(other, theirs));
  }
}

/** @throws when what a client has heard and written does not become the text that it must. */
async function readsAs(
  text: string,
  { kept }: Client,
  written: readonly Edit[] = [],
): Promise<void> {
  const doc = new Y.Doc();
  const apply = (updates: Uint8Array[]) =>
    doc.transact(() => updates.forEach((each) => Y.applyUpdate(doc, each)));
  apply(written.map((edit) => edit.update));
  const isSo = () => {
    apply(kept!.splice(0));
    return doc.getText("text").toString() === text;
  };
  await until(isSo, PATIENCE, () => "somebody does not have the text as it was written");
}
