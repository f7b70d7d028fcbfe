import "../../src/web/deno_2_5.ts"; // before @atproto/identity
import { assertEquals, assertThrows } from "@std/assert";
import * as fc from "fast-check";
import { getKey, getPds } from "@atproto/identity";
import { readDidDocument } from "../../src/did/did_document.ts";
import { BadDocument } from "../../src/web/lookup_failure.ts";
import { documentOf, makeAccount, plcDid } from "../auth/service_jwt_maker.ts";

const alice = await makeAccount(plcDid("alice"));
const key = alice.keypair.did();
const good = documentOf(alice);
const [method] = good.verificationMethod;
const read = (value: unknown) => readDidDocument(alice.did, value, "host.example");

Deno.test("D17: the key of a document is found, whatever else is in it", () => {
  const odd: Record<string, unknown>[] = [
    { service: null },
    { service: {} },
    { service: [null, "x", [], { id: 1 }, { id: "#x", type: {}, serviceEndpoint: null }] },
    { alsoKnownAs: null, "@context": 7, authentication: [null] },
    { alsoKnownAs: ["at://alice.example", 7, {}] },
    { verificationMethod: [null, 7, {}, { id: "#atproto" }, method] },
    { verificationMethod: method },
    { verificationMethod: [{ ...method, id: "#atproto", controller: undefined }] },
  ];
  for (const change of odd) {
    assertEquals(getKey(read({ ...good, ...change })), key, Deno.inspect(change));
  }
});

Deno.test("D17: of a service with arrays for its type and endpoint the first ones count", () => {
  const service = {
    id: "#atproto_pds",
    type: ["AtprotoPersonalDataServer", "Other"],
    serviceEndpoint: ["https://pds.example", { uri: "x" }],
  };
  for (const found of [service, [null, service]]) {
    assertEquals(getPds(read({ ...good, service: found })), "https://pds.example");
  }
});

Deno.test("D17: whatever JSON a host answers with, it is a document or refused as none", () => {
  const entry = fc.oneof(fc.jsonValue(), fc.constant(method));
  const shaped = fc.record({
    id: fc.oneof(fc.constant(alice.did), fc.jsonValue()),
    alsoKnownAs: fc.oneof(fc.array(fc.jsonValue()), fc.jsonValue()),
    verificationMethod: fc.oneof(fc.array(entry), fc.jsonValue()),
    service: fc.oneof(
      fc.array(fc.record({
        id: fc.oneof(fc.constant("#atproto_pds"), fc.jsonValue()),
        type: fc.oneof(fc.constant("AtprotoPersonalDataServer"), fc.jsonValue()),
        serviceEndpoint: fc.oneof(fc.webUrl(), fc.jsonValue()),
      })),
      fc.jsonValue(),
    ),
  }, { requiredKeys: [] });
  fc.assert(fc.property(fc.oneof(shaped, fc.jsonValue()), (value) => {
    const json = JSON.parse(JSON.stringify(value));
    if (json?.id !== alice.did) return void assertThrows(() => read(json), BadDocument);
    const document = read(json);
    getPds(document); // throws nothing
    JSON.stringify(document);
  }));
});
