import { openPolicy } from "../../src/access/policy.ts";
import { OWNER, policyContract } from "./policy_contract.ts";
import { membersWorld } from "./members_world.ts";
import { recordWorld } from "./record_world.ts";

const ROOM = `at://${OWNER}/app.notes/3k`;

policyContract("open", () =>
  Promise.resolve({
    policy: openPolicy,
    elsewhere: openPolicy,
    room: ROOM,
    everyone: "writer",
    pass: () => {},
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }));

policyContract("members", async () => {
  const it = await membersWorld();
  const { members: elsewhere } = await it.another();
  await it.acquainted();
  return {
    policy: it.members,
    elsewhere,
    room: ROOM,
    everyone: null,
    give: (did, role) =>
      role === null
        ? it.members.removeMember(OWNER!, ROOM, did)
        : it.members.putMember(OWNER!, ROOM, did, role),
    pass: () => {},
    fail: () => it.kv.getMany = () => Promise.reject(new Error("the store does not answer")),
    [Symbol.asyncDispose]: () => it[Symbol.asyncDispose](),
  };
});

policyContract("records", async () => {
  const it = await recordWorld();
  it.account(OWNER!);
  const [writers, readers] = [it.list(OWNER!, ROOM, "writer"), it.list(OWNER!, ROOM, "reader")];
  const items = new Map<string, string>();
  return {
    policy: it.policy,
    elsewhere: it.another(),
    room: ROOM,
    everyone: null,
    give(did, role) {
      if (items.has(did)) it.pds.delete(OWNER!, items.get(did)!);
      items.delete(did);
      if (role !== null) items.set(did, (role === "writer" ? writers : readers).add(did));
      return Promise.resolve();
    },
    pass: () => it.clock.advance(2_000),
    fail: () => it.pds.instead = () => new Response(null, { status: 503 }),
    [Symbol.asyncDispose]: () => it[Symbol.asyncDispose](),
  };
});
