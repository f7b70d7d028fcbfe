import { isHostName } from "../web/host_name.ts";

/** https://web.plc.directory/spec/v0.1/did-plc: 24 characters of lower-case base32. */
const PLC = /^did:plc:[a-z2-7]{24}$/;

const WEB = "did:web:";

/** For development, as the reference resolver reads it: no TLS, any port. */
const LOCAL_WEB = /^did:web:localhost(?:%3A([1-9][0-9]{0,4}))?$/;

/**
 * Whether a DID can stand for an account (https://atproto.com/specs/did): `did:plc`, or `did:web`
 * with nothing but a host name. A `#fragment` names a labeler or another service of the same DID, not
 * its user. A `did:key` could vouch for itself.
 */
export function isAccountDid(did: string, allowLocalDids: boolean): boolean {
  if (PLC.test(did)) return true;
  if (allowLocalDids && isLocalWebDid(did)) return true;
  return did.startsWith(WEB) && isHostName(did.slice(WEB.length));
}

function isLocalWebDid(did: string): boolean {
  const match = LOCAL_WEB.exec(did);
  return match !== null && Number(match[1] ?? 0) <= 65_535;
}
