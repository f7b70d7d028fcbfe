/** Numbers that no honest client sends. */
import { assertEquals } from "@std/assert";
import { awarenessFrame, syncFrame } from "../sync/test_peer.ts";
import { MALLORY, OWN, SQUARE, Target, within } from "./target.ts";
import { BAD_NUMBERS, bytesOf, PROBE } from "./wire.ts";

/** An item: the letter x, the first of the root type `t`. */
const LETTER = [0x04, 1, 1, 0x74, 1, 0x78];

/** Every place of a frame in which a peer may put a number, around that number. */
const PLACES: Record<string, (bad: number[]) => Uint8Array> = {
  "the type of a message": (bad) => bytesOf(bad),
  "the length of an update": (bad) => bytesOf(0, 2, bad, 0, 0),
  "the number of clients of a state vector": (bad) => syncFrame(0, bytesOf(bad)),
  "a client of a state vector": (bad) => syncFrame(0, bytesOf(1, bad, 5)),
  "a clock of a state vector": (bad) => syncFrame(0, bytesOf(1, 7, bad)),
  "the number of clients of an update": (bad) => syncFrame(2, bytesOf(bad, 0)),
  "the number of structs of an update": (bad) => syncFrame(2, bytesOf(1, bad, 7, 0, LETTER, 0)),
  "a client of an update": (bad) => syncFrame(2, bytesOf(1, 1, bad, 0, LETTER, 0)),
  "a clock of an update": (bad) => syncFrame(2, bytesOf(1, 1, 7, bad, LETTER, 0)),
  "the length of a GC": (bad) => syncFrame(2, bytesOf(1, 1, 7, 0, 0, bad, 0)),
  "the length of a skip": (bad) => syncFrame(2, bytesOf(1, 1, 7, 0, 10, bad, 0)),
  "an origin's client": (bad) => syncFrame(2, bytesOf(1, 1, 7, 0, 0x84, bad, 0, 1, 0x78, 0)),
  "an origin's clock": (bad) => syncFrame(2, bytesOf(1, 1, 7, 0, 0x84, 8, bad, 1, 0x78, 0)),
  "the length of a deleted item": (bad) => syncFrame(2, bytesOf(1, 1, 7, 0, 1, 1, 1, 0x74, bad, 0)),
  "the length of a text": (bad) => syncFrame(2, bytesOf(1, 1, 7, 0, 4, 1, 1, 0x74, bad, 0x78, 0)),
  "the number of deletions": (bad) => syncFrame(2, bytesOf(0, bad)),
  "a client of a deletion": (bad) => syncFrame(2, bytesOf(0, 1, bad, 1, 0, 1)),
  "the number of ranges of a deletion": (bad) => syncFrame(2, bytesOf(0, 1, 7, bad, 0, 1)),
  "a clock of a deletion": (bad) => syncFrame(2, bytesOf(0, 1, 7, 1, bad, 1)),
  "the length of a deletion": (bad) => syncFrame(2, bytesOf(0, 1, 7, 1, 0, bad)),
  "a client of a deletion in a step 2": (bad) => syncFrame(1, bytesOf(0, 1, bad, 1, 0, 1)),
  "the number of clients of an awareness message": (bad) => awarenessFrame(bytesOf(bad)),
  "an awareness client id": (bad) => awarenessFrame(bytesOf(1, bad, 1, 2, [0x7b, 0x7d])),
  "an awareness clock": (bad) => awarenessFrame(bytesOf(1, 9, bad, 2, [0x7b, 0x7d])),
  "the length of an awareness state": (bad) => awarenessFrame(bytesOf(1, 9, 1, bad, [0x7b, 0x7d])),
  "the length of an awareness message": (bad) => bytesOf(1, bad, 0),
  "the kind of an auth message": (bad) => bytesOf(2, bad),
};

Deno.test("HP1: a number above 2^53-1 costs its sender the connection (4400), wherever it stands", async () => {
  await using target = await Target.start();
  assertEquals((await target.call("getTicket", MALLORY, { room: OWN })).status, 200);
  const wrong: string[] = [];
  let count = 0;
  await target.withstands("HP1 (A1), each number in each place", async () => {
    for (const room of [SQUARE, OWN]) {
      for (const [number, bytes] of Object.entries(BAD_NUMBERS)) {
        const outcomes = await Promise.all(
          Object.entries(PLACES).map(async ([place, frame]) =>
            [place, await outcomeOf(target, room, frame(bytes))] as const
          ),
        );
        count += outcomes.length;
        for (const [place, outcome] of outcomes) {
          if (outcome !== 4400) wrong.push(`${place}, ${number}, ${room}: ${outcome}`);
        }
        if (outcomes.some(([, outcome]) => outcome === "hangs")) return `hangs: ${wrong}`;
      }
    }
    return `${count - wrong.length} of ${count} closed with 4400`;
  });
  assertEquals(wrong, []);
});

/** With which code a socket is closed that sends this; or whether it is taken, or the server hangs. */
async function outcomeOf(
  target: Target,
  room: string,
  frame: Uint8Array,
): Promise<number | "taken" | "hangs"> {
  using line = await target.open(MALLORY, room);
  const taken = Promise.withResolvers<"taken">();
  line.onMessage = ([type]) => type === PROBE[0] && taken.resolve("taken");
  const ended = line.listen().then(({ code }) => code);
  await line.send(frame, PROBE);
  return await within(3_000, Promise.race([ended, taken.promise]), "hangs" as const);
}
