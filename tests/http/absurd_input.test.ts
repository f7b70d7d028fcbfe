import { assert } from "@std/assert";
import * as fc from "fast-check";
import { lexicons } from "../../src/http/lexicons.ts";
import { ALICE, BOB, GET_TICKET, startService } from "./service.ts";

const ROOM = "notes";

/** A parameter, as far as a good value follows from its definition. */
interface Property {
  type: string;
  enum?: string[];
}

interface Callable {
  path: string;
  isQuery: boolean;
  properties: Record<string, Property>;
}

/** Every method, by its lexicon. */
const methods: Callable[] = lexicons("com.example.sync").flatMap(
  ({ id, defs: { main } }): Callable[] => {
    const path = `/xrpc/${id}`;
    if (main?.type === "query") {
      return [{ path, isQuery: true, properties: main.parameters?.properties as never }];
    }
    if (main?.type !== "procedure" || main.input?.schema?.type !== "object") return [];
    return [{ path, isQuery: false, properties: main.input.schema.properties as never }];
  },
);

/**
 * Texts that something behind the routes may choke on: a KV key holds 2,048 bytes, an integer has other
 * spellings, and a lone surrogate does not survive UTF-8.
 */
const absurdText = fc.oneof(
  fc.string({ unit: "binary", maxLength: 40 }),
  fc.constantFrom("", "\0", "\ud800", ".", "..", "__proto__", "constructor", "%", "%zz", "\u202e"),
  fc.constantFrom("NaN", "Infinity", "-1", "1e999", "0x10", " 7 ", "1.5", "9".repeat(30), "-0"),
  fc.tuple(
    fc.constantFrom("x", "\0", "ä", "\ud800", "😀", "1"),
    fc.constantFrom(400, 513, 2_040, 2_048, 3_000, 4_096),
  ).map(([unit, length]) => unit.repeat(length).slice(0, length)),
  fc.integer({ min: 100, max: 4_000 }).map((length) => `did:web:${"a".repeat(length)}`),
);

/** JSON texts, since not every one has a value that JavaScript writes so. */
const absurdJson = fc.oneof(
  absurdText.map((text) => JSON.stringify(text)),
  fc.json(),
  fc.constantFrom("1e999", "-1e999", "-0", "1.5", "9007199254740993", "1E2", "null", "{}", "[]"),
  fc.constantFrom('{"__proto__":{"room":"x"}}', '{"constructor":1}', '["notes"]'),
  fc.constantFrom(30, 3_000).map((depth) => "[".repeat(depth) + "]".repeat(depth)),
);

function goodValue(name: string, { type, ...property }: Property): fc.Arbitrary<string | number> {
  if (name === "room") return fc.constant(ROOM);
  if (name === "did" || name === "member") return fc.constantFrom(ALICE, BOB);
  if (property.enum !== undefined) return fc.constantFrom(...property.enum);
  return type === "integer" ? fc.constantFrom(1, 60, 100) : fc.constantFrom("x", "0", ROOM);
}

/** A call of any method: some of its parameters are good, some are not, and some come twice. */
const calls = fc.constantFrom(...methods).chain(({ path, isQuery, properties }) => {
  const absurd = isQuery ? absurdText : absurdJson;
  const pair = ([name, property]: [string, Property]) => {
    const good = goodValue(name, property).map((value) =>
      isQuery ? `${value}` : JSON.stringify(value)
    );
    return fc.tuple(fc.constant(name), fc.oneof({ weight: 4, arbitrary: good }, absurd));
  };
  const name = fc.oneof(fc.constantFrom(...Object.keys(properties)), absurdText);
  return fc.tuple(
    fc.constant({ path, isQuery }),
    fc.tuple(...Object.entries(properties).map(pair)),
    fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, fc.array(fc.tuple(name, absurd))),
  );
});

Deno.test("H20: no value of any parameter of any method is a fault of the service", async () => {
  await using it = await startService({
    policy: "members",
    limits: { requestsPerAddress: 1e9, callsPerDid: 1e9 },
  });
  await (await it.callAs(GET_TICKET, { room: ROOM, did: ALICE })).body?.cancel();
  const seen = new Set<number>();
  const property = fc.asyncProperty(calls, async ([{ path, isQuery }, params, more]) => {
    const entries = [...params, ...more];
    const response = isQuery
      ? await it.callAs(`${path}?${entries.map((entry) => entry.map(encode).join("=")).join("&")}`)
      : await it.callAs(
        path,
        `{${entries.map(([name, json]) => `${JSON.stringify(name)}:${json}`)}}`,
      );
    const text = await response.text();
    const what = `${response.status} ${text}`;
    assert(response.status < 500, what);
    const { error, message } = JSON.parse(text);
    assert(response.ok || (typeof error === "string" && typeof message === "string"), what);
    seen.add(response.status);
  });
  await fc.assert(property, { numRuns: 2_000 });
  assert(seen.has(200) && seen.has(400), "some calls pass their lexicon, and some do not");
});

function encode(text: string): string {
  return encodeURIComponent(text.toWellFormed());
}
