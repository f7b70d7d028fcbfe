import type { Face } from "./parts.ts";

/** Our DID document (https://atproto.com/specs/did), by which a PDS finds us when it proxies a call. */
export function didDocument({ serviceDid, serviceId, publicUrl }: Face): unknown {
  return {
    "@context": ["https://www.w3.org/ns/did/v1"],
    id: serviceDid,
    service: [{ id: `#${serviceId}`, type: "TesseraSyncService", serviceEndpoint: publicUrl }],
  };
}
