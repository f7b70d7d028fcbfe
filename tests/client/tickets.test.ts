import { assertEquals } from "@std/assert";
import { Agent } from "npm:@atproto/api@^0.21.0";
import { systemClock } from "../../src/clock.ts";
import {
  type AgentRequest,
  devToken,
  type GetTicket,
  serviceAuth,
  viaProxy,
} from "../../src/client/mod.ts";
import { RpcPermission } from "npm:@atproto/oauth-scopes@^0.5.12";
import { readme } from "../outside/readme.ts";
import { documentOf, goodToken, makeAccount, plcDid } from "../auth/service_jwt_maker.ts";
import { FakePlc } from "../did/fake_plc.ts";
import { DEV_TOKEN } from "../http/service.ts";
import { NAMES, startRealService, Window } from "./app.ts";

const { signal } = new AbortController();

Deno.test("J13: a user's agent gets tickets by a service JWT, and by way of its PDS", async () => {
  await using plc = new FakePlc();
  await using it = await startRealService({ plcUrl: plc.url });
  const account = await makeAccount(plcDid("alice"));
  plc.publish(documentOf(account));
  const asked: string[] = [];
  /** What the user's PDS does with a call. */
  const pds = async (path: string, given: object): Promise<Response> => {
    const init = given as AgentRequest;
    const url = new URL(path, "https://pds.example.com");
    const sign = (aud: string, lxm: string) => goodToken(account, systemClock, { aud, lxm });
    if (url.pathname === "/xrpc/com.atproto.server.getServiceAuth") {
      const { aud, lxm } = Object.fromEntries(url.searchParams);
      asked.push(`JWT for ${aud}`);
      return Response.json({ token: await sign(aud!, lxm!) });
    }
    const headers = new Headers(init.headers);
    const [did, id] = headers.get("atproto-proxy")!.split("#");
    asked.push(`proxy to ${did}, ${id}`);
    const lxm = url.pathname.slice("/xrpc/".length);
    headers.set("authorization", `Bearer ${await sign(did!, lxm)}`);
    return await fetch(it.endpoint + path, { ...init, headers });
  };
  const names = { ...NAMES, did: "did:web:sync.example.com" };
  for (const agent of [new Agent(pds), { fetchHandler: pds }]) {
    for (const getTicket of [serviceAuth(agent, names), viaProxy(agent, names)]) {
      using alice = await new Window(it.endpoint, "notes", "", { getTicket }).online();
      assertEquals([alice.provider.did, alice.provider.role], [account.did, "writer"]);
    }
  }
  const ways = [
    "JWT for did:web:sync.example.com#roomy_syncserver",
    "proxy to did:web:sync.example.com, roomy_syncserver",
  ];
  assertEquals(asked, [...ways, ...ways]);
});

Deno.test("J13: where nothing else is said the service is the did:web of its host, as it says itself", async () => {
  const asked: string[] = [];
  const agent = {
    fetchHandler: (path: string, { headers }: AgentRequest) => {
      asked.push(decodeURIComponent(path), new Headers(headers).get("atproto-proxy") ?? "");
      return Promise.resolve(Response.json({ error: "Enough", message: "No." }, { status: 400 }));
    },
  };
  const request = { endpoint: "http://localhost:8000", room: "notes", signal };
  for (const getTicket of [serviceAuth(agent), viaProxy(agent)]) {
    assertEquals(await getTicket(request).catch(({ name }) => name), "Enough");
  }
  const method = "chat.roomy.v0.sync.getTicket";
  assertEquals(asked, [
    `/xrpc/com.atproto.server.getServiceAuth?aud=did:web:localhost%3A8000#roomy_syncserver&lxm=${method}`,
    "",
    `/xrpc/${method}`,
    "did:web:localhost%3A8000#roomy_syncserver",
  ]);
});

Deno.test("J13: a session with the OAuth scope that the README names may do what both ways ask of it", async () => {
  const [, scope] = /`(rpc:[^`]+)`/.exec(readme)!;
  const permission = RpcPermission.fromString(scope!)!;
  const needs: { aud: string; lxm: string }[] = [];
  const agent = {
    fetchHandler: (path: string, { headers }: AgentRequest) => {
      const { pathname, searchParams } = new URL(path, "https://pds.example.com");
      const aud = headers?.["atproto-proxy"] ?? searchParams.get("aud")!;
      const lxm = searchParams.get("lxm") ?? pathname.slice("/xrpc/".length);
      needs.push({ aud, lxm });
      return Promise.resolve(Response.json({ token: "x" }, { status: 500 }));
    },
  };
  const request = { endpoint: "https://sync.example.com", room: "notes", signal };
  for (const getTicket of [serviceAuth(agent), viaProxy(agent)]) {
    await getTicket(request).catch(() => {});
  }
  assertEquals(needs.map((need) => permission.matches(need)), [true, true]);

  const [, all] = /`(rpc:\*[^`]+)`/.exec(readme)!;
  const lxm = "chat.roomy.v0.sync.putMember";
  assertEquals(RpcPermission.fromString(all!)!.matches({ aud: needs[0]!.aud, lxm }), true);
});

Deno.test("J13: no refusal is lost on the way: its name, its words, its status, and when to come back", async () => {
  await using it = await startRealService({ limits: { requests: 1 } });
  const ask = (getTicket: GetTicket, room: string) =>
    getTicket({ endpoint: it.endpoint, room, signal }).catch((error) => error);
  const alice = devToken(DEV_TOKEN, "did:web:alice.example", NAMES);
  const { name, status, message } = await ask(alice, "a\nb");
  assertEquals([name, status], ["InvalidRoom", 400]);
  assertEquals(message.includes("control"), true, message);
  assertEquals((await ask(devToken("wrong", "did:web:a.example", NAMES), "notes")).status, 401);

  const release = it.holdCommits();
  const held = ask(alice, "notes");
  const busy = await ask(alice, "notes");
  assertEquals([busy.name, busy.status, busy.retryAfter], ["TooBusy", 503, 5_000]);
  release();
  assertEquals((await held).room, "notes");
});

Deno.test("J14: what does not speak XRPC is not the service, and its no is none", async () => {
  const answers = [
    new Response("<h1>Welcome to our café</h1>", { status: 200 }),
    new Response("Forbidden", { status: 403 }),
    Response.json({ message: "no" }, { status: 403 }),
    Response.json(null),
    new Response("later", { status: 503, headers: { "retry-after": "7" } }),
    new Response("later", {
      status: 503,
      headers: { "retry-after": new Date(Date.now() + 3_600_000).toUTCString() },
    }),
    new Response("never", { status: 503, headers: { "retry-after": "soon" } }),
  ];
  const waits: (number | undefined)[] = [];
  for (const answer of answers) {
    const agent = { fetchHandler: () => Promise.resolve(answer) };
    const request = { endpoint: "https://sync.example.com", room: "notes", signal };
    const failure = await viaProxy(agent)(request).then(() => "a ticket?", (error) => error);
    assertEquals([failure.name, failure.status], ["Unreachable", undefined]);
    waits.push(failure.retryAfter && Math.round(failure.retryAfter / 10_000) * 10_000);
  }
  assertEquals(waits, [undefined, undefined, undefined, undefined, 10_000, 3_600_000, undefined]);
});
