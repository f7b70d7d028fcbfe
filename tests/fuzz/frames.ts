import * as encoding from "lib0/encoding";
import * as Y from "yjs";
import type { Chance } from "../sim/chance.ts";
import { awarenessFrame, poison, syncFrame } from "../sync/test_peer.ts";

/** Numbers at which something may give way. */
const EDGES = [
  ...[0, 1, 2, 63, 64, 127, 128, 255, 256, 16_383, 16_384, 65_535, 65_536],
  ...[2 ** 24, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 50, 2 ** 53 - 1],
];

/** Numbers beyond 2^53 - 1, byte by byte: 2^53, 2^63, and what lib0's own reader takes for Infinity and NaN. */
export const HUGE_NUMBERS: number[][] = [
  [...new Array(7).fill(0x80), 0x10],
  [...new Array(9).fill(0x80), 0x01],
  [...new Array(147).fill(0x80), 0x01],
  [...new Array(200).fill(0x80), 0x00],
  [...new Array(9).fill(0xff), 0x7f],
];

const number = (chance: Chance) =>
  chance.once(3) ? chance.pick(EDGES) : chance.below(chance.pick([4, 64, 1_000, 2 ** 31]));

const bytes = (chance: Chance, most: number) =>
  Uint8Array.from({ length: chance.below(most + 1) }, () => chance.below(256));

function written(write: (encoder: encoding.Encoder) => void): Uint8Array {
  return encoding.encode(write);
}

/** An update of real edits, of every kind that Yjs knows. */
export function realUpdate(chance: Chance): Uint8Array {
  const doc = new Y.Doc();
  doc.clientID = 1 + chance.below(1_000);
  const updates: Uint8Array[] = [];
  doc.on("update", (update: Uint8Array) => updates.push(update));
  const text = doc.getText("text");
  for (let n = 1 + chance.below(6); n > 0; n--) {
    switch (chance.below(9)) {
      case 0:
        text.insert(chance.below(text.length + 1), "word ".repeat(chance.below(20)));
        break;
      case 1:
        if (text.length > 2) text.delete(chance.below(text.length - 1), 1);
        break;
      case 2:
        if (text.length > 2) text.format(0, 1 + chance.below(text.length - 1), { bold: true });
        break;
      case 3:
        doc.getMap("map").set(`key${chance.below(3)}`, { a: [1, null, "x", 1.5, true, 2n ** 60n] });
        break;
      case 4:
        doc.getArray("words").insert(0, [chance.below(100), new Uint8Array(5), null]);
        break;
      case 5: {
        const element = new Y.XmlElement("p");
        element.setAttribute("class", "x");
        doc.getXmlFragment("xml").insert(0, [element, new Y.XmlText("hi")]);
        break;
      }
      case 6:
        text.insertEmbed(0, { image: "x" });
        break;
      case 7:
        doc.getMap("docs").set("sub", new Y.Doc({ guid: "sub" }));
        break;
      default:
        doc.getMap("map").set("nested", new Y.Map([["deep", new Y.Array()]]));
    }
  }
  return chance.once(2) ? Y.encodeStateAsUpdate(doc) : chance.pick(updates) ?? poison();
}

/** An update that is put together from its parts, none of which need fit another. */
export function builtUpdate(chance: Chance): Uint8Array {
  return written((encoder) => {
    const clients = chance.once(8) ? number(chance) : chance.below(4);
    encoding.writeVarUint(encoder, clients);
    for (let n = Math.min(clients, 5); n > 0; n--) {
      const structs = chance.once(8) ? number(chance) : 1 + chance.below(4);
      for (const each of [structs, number(chance), number(chance)]) {
        encoding.writeVarUint(encoder, each);
      }
      for (let m = Math.min(structs, 6); m > 0; m--) writeStruct(encoder, chance);
    }
    const deleted = chance.once(8) ? number(chance) : chance.below(3);
    encoding.writeVarUint(encoder, deleted);
    for (let n = Math.min(deleted, 5); n > 0; n--) {
      const ranges = chance.once(8) ? number(chance) : chance.below(4);
      encoding.writeVarUint(encoder, number(chance));
      encoding.writeVarUint(encoder, ranges);
      for (let m = Math.min(ranges, 10) * 2; m > 0; m--) {
        encoding.writeVarUint(encoder, number(chance));
      }
    }
  });
}

/** https://github.com/yjs/yjs/blob/main/INTERNALS.md: what an item is, where it stands, and what it holds. */
function writeStruct(encoder: encoding.Encoder, chance: Chance): void {
  const kind = chance.below(12);
  const [hasOrigin, hasRight, hasKey] = [chance.once(2), chance.once(3), chance.once(3)];
  const info = kind | (hasOrigin ? 128 : 0) | (hasRight ? 64 : 0) | (hasKey ? 32 : 0);
  encoding.writeUint8(encoder, info);
  const id = () => {
    for (let n = 0; n < 2; n++) encoding.writeVarUint(encoder, number(chance));
  };
  if (kind === 0 || kind === 10) return encoding.writeVarUint(encoder, number(chance)); // GC, Skip
  if (hasOrigin) id();
  if (hasRight) id();
  if (!hasOrigin && !hasRight) {
    const named = chance.once(2);
    encoding.writeVarUint(encoder, named ? 1 : 0);
    if (named) encoding.writeVarString(encoder, chance.pick(["text", "map", "words", "xml", ""]));
    else id();
    if (hasKey) encoding.writeVarString(encoder, chance.pick(["key0", "__proto__", ""]));
  }
  const json = () => chance.pick(["1", '"x"', "{}", "[[[]]]", "undefined", "{", "null"]);
  switch (kind) {
    case 1: // deleted
      return encoding.writeVarUint(encoder, number(chance));
    case 2: // JSON
      encoding.writeVarUint(encoder, 1);
      return encoding.writeVarString(encoder, json());
    case 3: // binary
      return encoding.writeVarUint8Array(encoder, bytes(chance, 20));
    case 4: // string
      return encoding.writeVarString(
        encoder,
        chance.pick(["", "x", "word", "\u{1F600}", "\uD83D"]),
      );
    case 5: // embed
      return encoding.writeVarString(encoder, json());
    case 6: // format
      encoding.writeVarString(encoder, chance.pick(["bold", ""]));
      return encoding.writeVarString(encoder, json());
    case 7: // type
      encoding.writeVarUint(encoder, chance.below(9));
      if (chance.once(2)) encoding.writeVarString(encoder, "p");
      return;
    case 8: // any
      encoding.writeVarUint(encoder, 1 + chance.below(3));
      for (let n = 3; n > 0; n--) encoding.writeAny(encoder, chance.pick([1, "x", null, [1], {}]));
      return;
    case 9: // document
      encoding.writeVarString(encoder, "guid");
      return encoding.writeAny(encoder, {});
  }
}

/** An item with an array in an array in an array. */
export function deepUpdate(depth: number): Uint8Array {
  return written((encoder) => {
    for (const each of [1, 1, 7, 0]) encoding.writeVarUint(encoder, each);
    encoding.writeUint8(encoder, 8);
    encoding.writeVarUint(encoder, 1);
    encoding.writeVarString(encoder, "words");
    encoding.writeVarUint(encoder, 1);
    for (let n = 0; n < depth; n++) {
      encoding.writeUint8(encoder, 117); // an array
      encoding.writeVarUint(encoder, 1);
    }
    encoding.writeAny(encoder, null);
    encoding.writeVarUint(encoder, 0);
  });
}

/** A state vector of so many clients. */
export function stateVector(chance: Chance, clients: number): Uint8Array {
  return written((encoder) => {
    encoding.writeVarUint(encoder, clients);
    for (let n = Math.min(clients, 100_000) * 2; n > 0; n--) {
      encoding.writeVarUint(encoder, number(chance));
    }
  });
}

function awareness(chance: Chance): Uint8Array {
  const deep = "[".repeat(2_000) + "]".repeat(2_000);
  return awarenessFrame(written((encoder) => {
    const entries = chance.once(8) ? number(chance) : chance.below(4);
    encoding.writeVarUint(encoder, entries);
    for (let n = Math.min(entries, 50); n > 0; n--) {
      encoding.writeVarUint(encoder, number(chance));
      encoding.writeVarUint(encoder, number(chance));
      const states = [
        '{"name":"m"}',
        "null",
        " null",
        "[]",
        "1",
        '{"__proto__":{"x":1}}',
        "{",
        deep,
      ];
      encoding.writeVarString(encoder, chance.pick(states));
    }
  }));
}

/** A good frame of any kind. */
function good(chance: Chance): Uint8Array {
  switch (chance.below(6)) {
    case 0:
      return syncFrame(0, stateVector(chance, chance.below(5)));
    case 1:
      return syncFrame(1, realUpdate(chance));
    case 2:
    case 3:
      return syncFrame(2, realUpdate(chance));
    case 4:
      return awareness(chance);
    default:
      return new Uint8Array([chance.pick([3, 102]), ...bytes(chance, 5)]);
  }
}

/** Damages a frame in one place or some. */
function mutate(chance: Chance, frame: Uint8Array): Uint8Array {
  let all = [...frame];
  for (let n = 1 + chance.below(3); n > 0; n--) {
    const at = chance.below(all.length + 1);
    switch (chance.below(6)) {
      case 0:
        all[at] = chance.below(256);
        break;
      case 1:
        all = all.slice(0, at);
        break;
      case 2:
        all.splice(
          at,
          0,
          ...chance.once(4)
            ? chance.pick(HUGE_NUMBERS)
            : written((encoder) => encoding.writeVarUint(encoder, chance.pick(EDGES))),
        );
        break;
      case 3:
        all.splice(at, 1 + chance.below(4));
        break;
      case 4:
        all.splice(at, 0, ...all.slice(at, at + chance.below(20)));
        break;
      default:
        all[at] = (all[at] ?? 0) ^ (1 << chance.below(8));
    }
  }
  return Uint8Array.from(all.map((byte) => byte ?? 0));
}

/** A frame that a client of ours, a broken one or an attacker might send. */
export function anyFrame(chance: Chance): Uint8Array {
  switch (chance.below(10)) {
    case 0:
      return bytes(chance, 60);
    case 1:
      return good(chance);
    case 2:
    case 3:
      return syncFrame(chance.pick([1, 2]), builtUpdate(chance));
    case 4:
      return syncFrame(chance.pick([1, 2]), mutate(chance, realUpdate(chance)));
    case 5:
      return syncFrame(chance.below(4), bytes(chance, 40));
    case 6:
      return awareness(chance);
    default:
      return mutate(chance, good(chance));
  }
}
