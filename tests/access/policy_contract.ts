import { assert, assertEquals, assertRejects } from "@std/assert";
import type { AccessPolicy, Role } from "../../src/access/policy.ts";
import type { MemberRole } from "../../src/access/room_access.ts";
import { until } from "../until.ts";

export const [OWNER, FRIEND, STRANGER] = [
  "did:plc:ownerooooooooooooooooooo",
  "did:plc:friendffffffffffffffffff",
  "did:plc:strangersssssssssssssssss",
];

/** A room that belongs to `OWNER`, under one policy. */
export interface PolicyWorld extends AsyncDisposable {
  policy: AccessPolicy;
  /** The same policy on another instance of the service. */
  elsewhere: AccessPolicy;
  room: string;
  /** What everyone is who was given nothing. */
  everyone: Role | null;
  /** Gives a DID a role or takes it away; absent where nobody can. */
  give?(did: string, role: MemberRole | null): Promise<void>;
  /** Time passes, until what was changed is due to be known. */
  pass(): void;
  /** From now on the policy cannot find out anything; absent where it has nothing to find out. */
  fail?(): void;
}

/** What connections and routes rely on, whatever the policy. */
export function policyContract(name: string, open: () => Promise<PolicyWorld>): void {
  const test = (rule: string, run: (world: PolicyWorld) => Promise<void>) =>
    Deno.test(`${rule} (${name})`, async () => {
      await using world = await open();
      await run(world);
    });

  test("X1: who was given nothing is what everyone is, asked in any way, and asking changes nothing", async ({ policy, room, everyone }) => {
    for (let n = 0; n < 2; n++) {
      assertEquals(await policy.roleOf(STRANGER, room), everyone);
      assertEquals(await (policy.admit ?? policy.roleOf).call(policy, STRANGER, room), everyone);
    }
  });

  test("X2: the owner may write, before and after it has come in, on every instance", async ({ policy, elsewhere, room }) => {
    const ask = () =>
      Promise.all([policy.roleOf(OWNER, room), elsewhere.roleOf(OWNER, room)]) as Promise<Role[]>;
    for (const role of await ask()) assert(role === "owner" || role === "writer");
    await (policy.admit ?? policy.roleOf).call(policy, OWNER, room);
    for (const role of await ask()) assert(role === "owner" || role === "writer");
  });

  test("X3: a role that is given or taken is told to whoever watches the room, here and elsewhere, and holds from then on", async ({ policy, elsewhere, room, everyone, give, pass }) => {
    if (give === undefined) return assertEquals(policy.watch, undefined);
    const both = [policy, elsewhere];
    const told = [0, 0];
    const stops = both.map((each, n) => each.watch!(room, () => told[n]!++));
    for (const role of ["reader", "writer", "reader", null] as const) {
      told.fill(0);
      await give(FRIEND, role);
      for (const [n, each] of both.entries()) {
        const holds = async () => await each.roleOf(FRIEND, room) === (role ?? everyone);
        await until(async () => (pass(), told[n]! > 0 && await holds()));
        assertEquals(await each.roleOf(STRANGER, room), everyone);
      }
    }
    for (const stop of stops) stop();
    told.fill(0);
    await give(FRIEND, "writer");
    await until(async () => (pass(), await policy.roleOf(FRIEND, room) === "writer"));
    assertEquals(told, [0, 0], "they had stopped to watch");
  });

  test("X4: what is given in one room gives nothing in another", async ({ policy, room, everyone, give, pass }) => {
    await give?.(FRIEND, "writer");
    pass();
    for (const other of [`${room}2`, `${room}/x`, room.slice(0, -1), `${STRANGER}/notes`]) {
      assertEquals(await policy.roleOf(FRIEND, other), everyone, other);
    }
  });

  test("X5: a policy that cannot find out says so, and lets nobody in", async ({ policy, room, fail, everyone }) => {
    if (fail === undefined) return assertEquals(everyone, "writer");
    fail();
    await assertRejects(() => policy.roleOf(STRANGER, room));
    await assertRejects(async () =>
      await (policy.admit ?? policy.roleOf).call(policy, FRIEND, room)
    );
  });
}
