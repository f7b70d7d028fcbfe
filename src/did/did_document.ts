import type { DidDocument } from "@atproto/identity";
import { BadDocument } from "../web/lookup_failure.ts";

/**
 * What we use of a DID document (https://www.w3.org/TR/did-core/#core-properties). The schema of
 * `@atproto/identity` refuses a document as a whole for one odd entry, such as `service: null` or a
 * service with several types: here entries that cannot be used are left out.
 *
 * @param host Where the document is from, for the error.
 * @throws {BadDocument} when it is not the document of `did`
 */
export function readDidDocument(did: string, value: unknown, host: string): DidDocument {
  if (!isObject(value) || value.id !== did) throw new BadDocument(host, did);
  return {
    id: did,
    alsoKnownAs: asArray(value.alsoKnownAs).filter((alias) => typeof alias === "string"),
    verificationMethod: asArray(value.verificationMethod).flatMap((entry) => readKey(did, entry)),
    service: asArray(value.service).flatMap(readService),
  };
}

type Entries<Name extends "verificationMethod" | "service"> = NonNullable<DidDocument[Name]>;

function readKey(did: string, entry: unknown): Entries<"verificationMethod"> {
  if (!isObject(entry)) return [];
  const { id, type, controller = did, publicKeyMultibase } = entry;
  const isUsable = typeof id === "string" && typeof type === "string" &&
    typeof controller === "string" && typeof publicKeyMultibase === "string";
  return isUsable ? [{ id, type, controller, publicKeyMultibase }] : [];
}

function readService(entry: unknown): Entries<"service"> {
  if (!isObject(entry)) return [];
  const { id } = entry;
  // Both may be sets of one or more: https://www.w3.org/TR/did-core/#services
  const [type, serviceEndpoint] = [asArray(entry.type)[0], asArray(entry.serviceEndpoint)[0]];
  const isUsable = typeof id === "string" && typeof type === "string" &&
    typeof serviceEndpoint === "string";
  return isUsable ? [{ id, type, serviceEndpoint }] : [];
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A single value counts as an array of one. */
function asArray(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [value];
}
