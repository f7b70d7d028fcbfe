/** Repositories on PDSs that are slow on purpose, and everybody else's. */
import { assert, assertEquals } from "@std/assert";
import type { BoundedFetch } from "../../src/web/bounded_fetch.ts";
import { assertRefused } from "../auth/assert_refused.ts";
import { until } from "../until.ts";
import { FRIEND } from "./policy_contract.ts";
import { documentWith, GRANT, recordWorld, TIMES } from "./record_world.ts";

/** Accounts on any PDS. Those whose host's name begins with `slow` never answer. */
async function slowWorld() {
  const it = await recordWorld();
  const asked: string[] = [];
  let accounts = 0;
  const fetch: BoundedFetch = (input) => {
    const { hostname, pathname } = new URL(String(input));
    asked.push(hostname);
    if (hostname.startsWith("slow")) return new Promise(() => {});
    return Promise.resolve(Response.json(
      pathname.endsWith("getLatestCommit") ? { rev: `rev${asked.length}` } : { records: [] },
    ));
  };
  return {
    ...it,
    asked,
    policy: it.another(false, fetch),
    /** Publishes a new account on a PDS, and returns a room of its. */
    roomAt(host: string): string {
      const n = accounts++;
      const letters = [n % 26, Math.floor(n / 26)].map((m) => String.fromCharCode(97 + m));
      const did = `did:plc:${letters.join("").repeat(12)}`;
      it.plc.publish(documentWith(did, `https://${host}`));
      return `${did}/notes`;
    },
    /** How many slow PDSs are being asked. */
    slow: () => asked.filter((host) => host.startsWith("slow")).length,
  };
}

Deno.test("L10: slow PDSs that callers of one address name fail nobody else's reads", async () => {
  await using it = await slowWorld();
  const rooms = Array.from({ length: 30 }, (_, n) => it.roomAt(`slow.mallory${n}.example`));
  const reads = rooms.map((room) => it.policy.roleOf(FRIEND!, room, "198.51.100.1"));
  const refused = reads.map((read) => assertRefused(read, "UpstreamFailure"));
  await until(() => it.slow() === 20);
  assertEquals((await Promise.any(refused)).retryAfter, 1);
  const good = it.roomAt("pds.example.com");
  await assertRefused(it.policy.roleOf(FRIEND!, good, "198.51.100.1"), "UpstreamFailure");
  assertEquals(await it.policy.roleOf(FRIEND!, good, "198.51.100.2"), null);
  assertEquals(it.slow(), 20);
});

Deno.test("L10: slow PDSs of one domain fail no reads elsewhere, whoever asks", async () => {
  await using it = await slowWorld();
  const rooms = Array.from({ length: 60 }, (_, n) => it.roomAt(`slow${n}.mallory.example`));
  const reads = rooms.map((room, n) => it.policy.roleOf(FRIEND!, room, `203.0.113.${n}`));
  const refused = reads.map((read) => assertRefused(read, "UpstreamFailure"));
  await until(() => it.slow() === 50);
  await Promise.any(refused);
  const theirs = it.roomAt("quick.mallory.example");
  await assertRefused(it.policy.roleOf(FRIEND!, theirs, "198.51.100.1"), "UpstreamFailure");
  assertEquals(
    await it.policy.roleOf(FRIEND!, it.roomAt("pds.example.com"), "198.51.100.1"),
    null,
  );
  assertEquals(it.slow(), 50);
});

Deno.test("L11: owners that have been read before are read while new ones take all other reads", async () => {
  await using it = await slowWorld();
  const [known, unknown] = [it.roomAt("pds.example.com"), it.roomAt("pds.example.net")];
  assertEquals(await it.policy.roleOf(FRIEND!, known, "198.51.100.1"), null);
  for (let n = 0; n < 150; n++) {
    const room = it.roomAt(`slow.mallory${n}.example`);
    it.policy.roleOf(FRIEND!, room, `203.0.113.${n}`).catch(() => {});
  }
  await until(() => it.slow() === 150);
  await assertRefused(it.policy.roleOf(FRIEND!, unknown, "198.51.100.1"), "UpstreamFailure");
  it.clock.advance(TIMES.refresh);
  const before = it.asked.length;
  assertEquals(await it.policy.roleOf(FRIEND!, known, "198.51.100.1"), null);
  assert(it.asked.length > before, "it was read, not remembered");
});

Deno.test("L12: a PDS that answers each request just in time is not read for longer than 30 s", async () => {
  await using it = await slowWorld();
  let requests = 0;
  const policy = it.another(false, () => {
    it.clock.advance(2_900);
    requests++;
    const records = [{ uri: `at://x/${GRANT}/${requests}`, value: {} }];
    return Promise.resolve(Response.json({ rev: "rev", cursor: String(requests), records }));
  });
  const room = it.roomAt("pds.example.com");
  await assertRefused(policy.roleOf(FRIEND!, room, "198.51.100.1"), "UpstreamTimeout");
  assertEquals(requests, 11);
});
