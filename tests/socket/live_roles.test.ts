import { assertEquals } from "@std/assert";
import { type AccessPolicy, open, type Role } from "../../src/mod.ts";
import { startService } from "../http/service.ts";
import { StockClient, Warnings } from "../outside/clients.ts";
import { TestPeer } from "../sync/test_peer.ts";
import { until } from "../until.ts";

/** A policy whose roles can be changed at any time. */
class Roles implements AccessPolicy {
  readonly #roles = new Map<string, Role>();
  readonly #watchers = new Set<() => void>();

  roleOf(did: string): Promise<Role | null> {
    return Promise.resolve(this.#roles.get(did) ?? null);
  }

  watch(_room: string, onChange: () => void): () => void {
    this.#watchers.add(onChange);
    return () => this.#watchers.delete(onChange);
  }

  set(did: string, role: Role | null): void {
    if (role === null) this.#roles.delete(did);
    else this.#roles.set(did, role);
    for (const onChange of this.#watchers) onChange();
  }
}

Deno.test("G1: a stock y-websocket whose role changes reads on, is told, writes again, and is shown the door", async () => {
  const [alice, bob] = ["did:example:alice", "did:example:bob"];
  const policy = new Roles();
  policy.set(alice, "owner");
  policy.set(bob, "writer");
  await using it = await startService({ auth: open(), devToken: null, policy });
  await using server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    it.service.fetch,
  );
  const base = (did: string) => `ws://127.0.0.1:${server.addr.port}/sync/as/${did}`;
  using hers = new StockClient(base(alice), "notes", {});
  using his = new StockClient(base(bob), "notes", {});
  await Promise.all([hers.synced(), his.synced()]);
  his.text.insert(0, "he writes");
  await hers.reads("he writes");

  using warnings = new Warnings();
  policy.set(bob, "reader");
  his.text.insert(9, ", and may not");
  await until(() => warnings.heard.length > 0);
  assertEquals(warnings.heard[0]!.split("\n")[1], "You may only read this room.");
  hers.text.insert(0, "she writes; ");
  await his.reads((text) => text.startsWith("she writes; "));
  assertEquals(hers.text.toString(), "she writes; he writes");

  policy.set(bob, "writer");
  await hers.reads("she writes; he writes, and may not");

  let code = 0;
  his.provider.once("connection-close", (event) => code = event!.code);
  policy.set(bob, null);
  await until(() => (it.clock.advance(50), code !== 0));
  assertEquals(code, 4403);
});

Deno.test("G7: a session is over after MAX_SESSION, with 4401", async () => {
  await using it = await startService({ auth: open(), devToken: null, maxSession: 60_000 });
  await using server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    it.service.fetch,
  );
  const url = `ws://127.0.0.1:${server.addr.port}/sync/as/did:example:alice/notes`;
  const socket = new WebSocket(url);
  await new Promise((resolve) => socket.onopen = resolve);
  const peer = new TestPeer("did:example:alice").joinOver(socket);
  await peer.hears("step2");
  it.clock.advance(59_999);
  peer.probe(1);
  await peer.hears("ack 1");
  it.clock.advance(60_000);
  assertEquals((await peer.isClosed()).code, 4401);
});

Deno.test("W6: a line is closed when what is on its way over it has run out, and after 250 ms at the latest", async () => {
  await using it = await startService({ auth: open(), devToken: null });
  await using server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    it.service.fetch,
  );
  const join = async (room: string) => {
    const did = "did:example:alice";
    const socket = new WebSocket(`ws://127.0.0.1:${server.addr.port}/sync/as/${did}/${room}`);
    await new Promise((resolve) => socket.onopen = resolve);
    const peer = new TestPeer(did).joinOver(socket);
    await peer.hears("step2");
    return peer;
  };
  const [quiet, busy] = [await join("quiet"), await join("busy")];
  for (const peer of [quiet, busy]) peer.sendRaw(new Uint8Array([99]));
  for (let n = 0; n < 100; n++) busy.text.insert(0, "y");
  await until(() => (it.clock.advance(50), quiet.closed !== null && busy.closed !== null));
  assertEquals([quiet.closed!.code, busy.closed!.code], [4400, 4400]);
});
