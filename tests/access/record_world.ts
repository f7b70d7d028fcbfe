import { GrantLibrary } from "../../src/access/grant_library.ts";
import { LIST, LIST_ITEM } from "../../src/access/grants.ts";
import { RecordPolicy } from "../../src/access/record_policy.ts";
import type { MemberRole } from "../../src/access/room_access.ts";
import { DEFAULT_DID_CACHE_TIMES, KvDidCache } from "../../src/did/did_cache.ts";
import { didDirectory } from "../../src/did/did_directory.ts";
import { DidDocuments } from "../../src/did/did_documents.ts";
import { DEFAULT_LIMITS } from "../../src/limits/limits.ts";
import { Repos } from "../../src/repo/repos.ts";
import type { BoundedFetch } from "../../src/web/bounded_fetch.ts";
import { FakePlc } from "../did/fake_plc.ts";
import { FakeClock } from "../fake_clock.ts";
import { FakePds } from "../repo/fake_pds.ts";

export const GRANT = "com.example.sync.grant";
export const TIMES = { refresh: 2_000, max: 600_000 };

/** A DID document that names a PDS. */
export function documentWith(did: string, pds: string) {
  return {
    id: did,
    service: [
      { id: "#atproto_pds", type: "AtprotoPersonalDataServer", serviceEndpoint: pds },
    ],
  };
}

/** Accounts with repositories on a PDS of this machine, and policies that read them. */
export async function recordWorld() {
  const kv = await Deno.openKv(":memory:");
  const clock = new FakeClock();
  const plc = new FakePlc();
  const pds = new FakePds();
  const limits = DEFAULT_LIMITS;
  const policies = (allowLocalDids = true, fetch?: BoundedFetch) => {
    const cache = new KvDidCache(kv, clock, DEFAULT_DID_CACHE_TIMES);
    const directory = didDirectory({ plcUrl: plc.url, allowLocalDids });
    const documents = new DidDocuments(cache, directory, clock);
    const repos = new Repos({ documents, clock, allowLocalDids, ...fetch && { fetch } });
    return new RecordPolicy(
      new GrantLibrary({ repos, collection: GRANT, clock, times: TIMES, limits }),
    );
  };
  return {
    kv,
    clock,
    plc,
    pds,
    policy: policies(),
    /** The same policy, on another instance or with other settings. */
    another: policies,
    /** An account with a repository there. */
    account(did: string): string {
      plc.publish(documentWith(did, pds.url));
      pds.put(did, "app.bsky.actor.profile", { displayName: "somebody" });
      return did;
    },
    /** A list, and a grant of a role in a room to its members. */
    list(owner: string, room: string, role: MemberRole) {
      const list = pds.put(owner, LIST, { name: "friends" });
      const grant = pds.put(owner, GRANT, { room, role, list });
      const add = (subject: string) => pds.put(owner, LIST_ITEM, { subject, list });
      return { list, grant, add };
    },
    async [Symbol.asyncDispose]() {
      await pds[Symbol.asyncDispose]();
      await plc[Symbol.asyncDispose]();
      kv.close();
    },
  };
}
