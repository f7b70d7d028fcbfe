import { createSyncService, type SyncServiceConfig } from "../../src/mod.ts";
import { FakeClock } from "../fake_clock.ts";

export const DEV_TOKEN = "dev-token-of-the-tests";
export const ALICE = "did:plc:aliceaaaaaaaaaaaaaaaaaaa";
export const BOB = "did:plc:bobbbbbbbbbbbbbbbbbbbbbb";
export const GET_TICKET = "/xrpc/com.example.sync.getTicket";
export const TOKEN = "/xrpc/com.example.sync.token";

/** A service in this process, called without a network. */
export async function startService(config: Partial<SyncServiceConfig> = {}) {
  const clock = new FakeClock();
  const kv = await Deno.openKv(":memory:");
  const service = createSyncService({
    publicUrl: "https://sync.example.com",
    nsidPrefix: "com.example.sync",
    devToken: DEV_TOKEN,
    policy: "open", // most of what is tested here is not about who may do what
    kv,
    clock,
    ...config,
  });
  const call = (path: string, init?: RequestInit) =>
    service.fetch(new Request(`https://sync.example.com${path}`, init));
  /** Lets no commit through until what is returned is called. */
  const holdCommits = (): () => void => {
    const held = Promise.withResolvers<void>();
    const { atomic } = kv;
    kv.atomic = () => {
      const made = atomic.call(kv);
      const commit = made.commit.bind(made);
      return Object.assign(made, { commit: () => held.promise.then(commit) });
    };
    return held.resolve;
  };
  return {
    service,
    clock,
    kv,
    call,
    holdCommits,
    /** A call with the development token. */
    callAs: (path: string, body?: unknown) =>
      call(path, {
        method: body === undefined ? "GET" : "POST",
        headers: { authorization: `Bearer ${DEV_TOKEN}` },
        body: typeof body === "string" ? body : JSON.stringify(body),
      }),
    async [Symbol.asyncDispose]() {
      // Goodbyes take time, and here it passes only when told to.
      const passing = setInterval(() => clock.advance(50), 0);
      await service.shutdown();
      clearInterval(passing);
      kv.close();
    },
  };
}
