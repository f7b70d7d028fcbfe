import { assertEquals } from "@std/assert";
import type { AccessPolicy, Role } from "../../src/access/policy.ts";
import { RoleKeeper } from "../../src/socket/role_keeper.ts";
import type { Seat } from "../../src/sync/room.ts";
import { FakeClock } from "../fake_clock.ts";
import { settle } from "../sync/world.ts";

const RECHECK = 10 * 60_000;

/** A policy whose roles a test changes, and the roles that each connection was told of. */
function world() {
  const roles = new Map<string, Role | null>();
  const watchers = new Map<string, () => void>();
  const asked: string[] = [];
  let fails = false;
  const policy: AccessPolicy = {
    roleOf(did) {
      asked.push(did);
      return fails ? Promise.reject(new Error("no answer")) : Promise.resolve(roles.get(did)!);
    },
    watch(room, onChange) {
      watchers.set(room, onChange);
      return () => watchers.delete(room);
    },
  };
  const clock = new FakeClock();
  const gone = new Set<string>();
  const isGone = (did: string) => Promise.resolve(gone.has(did));
  const keeper = new RoleKeeper({ policy, isGone, recheck: RECHECK }, clock);
  const told: string[] = [];
  const come = (did: string, name = did) => {
    const seat: Seat = {
      held: 0,
      receive: () => {},
      leave: () => Promise.resolve(),
      become: (role) => void told.push(`${name} ${role}`),
      expel: (code) => void told.push(`${name} closed ${code}`),
    };
    return keeper.keep(did, "room", seat);
  };
  const change = (did: string, role: Role | null) => {
    roles.set(did, role);
    watchers.get("room")?.();
  };
  return {
    clock,
    roles,
    gone,
    watchers,
    asked,
    told,
    come,
    change,
    fail: (so: boolean) => fails = so,
  };
}

Deno.test("G5: a change of role reaches every connection of the DID, and none once it has gone", async () => {
  const { roles, watchers, asked, told, come, change } = world();
  roles.set("alice", "writer").set("bob", "reader");
  const leave = [come("alice", "alice's phone"), come("alice", "alice's laptop"), come("bob")];
  await settle();
  told.length = asked.length = 0;
  change("alice", "reader");
  await settle();
  assertEquals(told.toSorted(), ["alice's laptop reader", "alice's phone reader", "bob reader"]);
  assertEquals(asked.toSorted(), ["alice", "bob"], "a DID is asked for once");
  leave[0]!();
  told.length = 0;
  change("alice", null);
  await settle();
  assertEquals(told.toSorted(), ["alice's laptop null", "bob reader"]);
  leave[1]!();
  leave[2]!();
  assertEquals(watchers.size, 0, "an empty room is watched");
});

Deno.test("G5: what changed during the handshake is noticed, and nobody else is looked up for it", async () => {
  const { roles, asked, told, come } = world();
  roles.set("alice", "writer").set("bob", null);
  come("alice");
  await settle();
  asked.length = told.length = 0;
  come("bob");
  await settle();
  assertEquals([asked, told], [["bob"], ["bob null"]]);
});

Deno.test("G5: a policy that fails is asked again until it answers", async () => {
  const { clock, roles, told, come, change, fail } = world();
  roles.set("alice", "writer");
  come("alice");
  await settle();
  told.length = 0;
  fail(true);
  change("alice", null);
  await settle();
  clock.advance(500);
  await settle();
  assertEquals(told, []);
  fail(false);
  clock.advance(500);
  await settle();
  assertEquals(told, ["alice null"]);
});

Deno.test("G8: whose role cannot be found out for a minute is closed with 1013", async () => {
  const { clock, roles, told, come, change, fail } = world();
  roles.set("alice", "writer");
  const leave = come("alice");
  await settle();
  told.length = 0;
  fail(true);
  change("alice", "writer");
  await settle();
  for (let ms = 0; ms < 60_000; ms += 500) {
    assertEquals(told, [], `after ${ms} ms`);
    clock.advance(500);
    await settle();
  }
  assertEquals(told, ["alice closed 1013"]);
  leave();
  clock.advance(500);
  await settle();
  assertEquals(clock.next, Infinity, "it goes on for nobody");
});

Deno.test("G6: within ten minutes everybody is looked at again, whose account is gone too", async () => {
  const { clock, roles, gone, told, come } = world();
  roles.set("alice", "writer").set("bob", "writer");
  const leave = [come("alice"), come("bob")];
  await settle();
  told.length = 0;
  gone.add("bob");
  clock.advance(RECHECK);
  await settle();
  assertEquals(told.toSorted(), ["alice writer", "bob null"]);
  for (const each of leave) each();
  assertEquals(clock.next, Infinity, "it goes on for nobody");
});
