import { assertEquals } from "@std/assert";
import { AtpAgent } from "npm:@atproto/api@^0.21.0";
import {
  type GetTicket,
  serviceAuth,
  type TesseraProvider,
  viaProxy,
} from "../../src/client/mod.ts";
import { block, clientReadme, readme, withFile } from "../outside/readme.ts";
import { Window } from "../client/app.ts";
import { ServerProcess } from "../outside/server_process.ts";
import { findBrowser, startBrowser } from "./browser.ts";
import { signInByOAuth } from "./oauth.ts";
import { testReal as testWith } from "./real_test.ts";
import { findPds, PdsServer } from "../../src/demo/pds_server.ts";

const [packages, chromium] = [await findPds(), await findBrowser()];

/** A test with a real PDS, a service that asks its directory, and if need be a browser. */
function testReal(
  rule: string,
  body: (pds: PdsServer, server: ServerProcess) => Promise<void>,
  { env = {}, inBrowser = false }: { env?: Record<string, string>; inBrowser?: boolean } = {},
): void {
  testWith(rule, inBrowser && chromium === null ? null : packages, async (packages) => {
    await using pds = await PdsServer.start(packages);
    await using server = await ServerProcess.start({
      KV_PATH: ":memory:",
      ACCESS_POLICY: "members",
      PLC_URL: pds.plcUrl,
      UNSAFE_ALLOW_LOCAL_DIDS: "true",
      ...env,
    });
    await body(pds, server);
    assertEquals(await server.stop(), 0);
  });
}

/** An account, as an app's user has it. */
async function signUp(pds: PdsServer, name: string) {
  const agent = new AtpAgent({ service: pds.url });
  const email = `${name}@example.com`;
  await agent.createAccount({ handle: `${name}.test`, email, password: crypto.randomUUID() });
  return { agent, did: agent.assertDid };
}

testReal(
  "O20: accounts of a real PDS come online by its word and by way of it, and see who the others are",
  async (pds, server) => {
    const [alice, bob] = [await signUp(pds, "alice"), await signUp(pds, "bob")];
    const open = (getTicket: GetTicket) => new Window(server.url, "notes", "", { getTicket });
    using hers = await open(serviceAuth(alice.agent)).online();
    assertEquals([hers.provider.did, hers.provider.role], [alice.did, "owner"]);

    // Her app lets Bob in, by way of her PDS. Before that he is told no, and does not ask again by himself.
    using his = open(viaProxy(bob.agent));
    await his.until("status", ({ status }) => status === "denied");
    assertEquals([his.provider.error?.name, his.provider.error?.status], ["Forbidden", 403]);
    const proxy = `did:web:localhost%3A${new URL(server.url).port}#roomy_syncserver`;
    const answer = await alice.agent.fetchHandler("/xrpc/chat.roomy.v0.sync.putMember", {
      method: "POST",
      headers: { "content-type": "application/json", "atproto-proxy": proxy },
      body: JSON.stringify({ room: "notes", member: bob.did, role: "writer" }),
    });
    assertEquals(answer.status, 200, await answer.text());
    his.provider.connect();
    await his.online();

    his.text.insert(0, "hello from Bob");
    await his.provider.saved();
    await hers.reads("hello from Bob");
    await hers.until("peers", ({ peers }) => peers.length > 0);
    await his.until("peers", ({ peers }) => peers.length > 0);
    assertEquals(hers.provider.peers.map(({ did }) => did), [bob.did]);
    assertEquals(his.provider.peers.map(({ did }) => did), [alice.did]);
  },
);

testReal(
  "O21: an account whose key or handle has changed is the same account, at once",
  async (pds, server) => {
    const { agent, did } = await signUp(pds, "alice");
    for (const make of [serviceAuth, viaProxy]) {
      using before = await new Window(server.url, "notes", "", { getTicket: make(agent) }).online();
      await pds.do("rotateKey", did);
      await agent.updateHandle({ handle: `${make.name.toLowerCase()}.test` });
      before.provider.disconnect();
      before.provider.connect();
      await before.online();
      assertEquals([before.provider.did, before.provider.role], [did, "owner"]);
    }
  },
);

testReal(
  "O22: an account that is deactivated is still its owner; one that is no more is nobody",
  async (pds, server) => {
    const { agent } = await signUp(pds, "alice");
    const getTicket = serviceAuth(agent);
    using hers = await new Window(server.url, "notes", "", { getTicket }).online();
    hers.text.insert(0, "mine");
    await hers.provider.saved();
    await agent.com.atproto.server.deactivateAccount({});
    hers.provider.disconnect();
    hers.provider.connect();
    await hers.online();
    assertEquals(hers.provider.role, "owner");

    await pds.do("bury", hers.provider.did!);
    while (hers.provider.error?.name !== "DidNotFound") {
      hers.provider.disconnect();
      hers.provider.connect();
      await new Promise<void>((resolve) => {
        hers.provider.addEventListener("error", () => resolve(), { once: true });
        hers.online().then(() => resolve());
      });
      // The directory is asked again when what is known of her is a second old.
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    assertEquals(hers.provider.status, "offline");
  },
  { env: { DID_CACHE_FRESH: "1s" } },
);

testReal(
  "O37: an app that has its user's leave by OAuth, for what the README says, comes online both ways; another is told no",
  async (pds, server) => {
    await using browser = await startBrowser(chromium!);
    const password = crypto.randomUUID();
    const { did } = await pds.createAccount("alice", password);
    const [, shown] = /`(rpc:[^`]+)`/.exec(readme)!;
    const service = encodeURIComponent(`did:web:localhost%3A${new URL(server.url).port}`);
    const scope = shown!.replace("did:web:sync.example.com", service);
    const session = await signInByOAuth(pds, { did, password }, `atproto ${scope}`, browser);
    for (const getTicket of [serviceAuth(session), viaProxy(session)]) {
      using hers = await new Window(server.url, "notes", "", { getTicket }).online();
      assertEquals([hers.provider.did, hers.provider.role], [did, "owner"]);
    }

    const other = await signInByOAuth(pds, { did, password }, "atproto", browser);
    for (const getTicket of [serviceAuth(other), viaProxy(other)]) {
      using hers = new Window(server.url, "notes", "", { getTicket });
      await hers.until("status", ({ status }) => status === "denied");
      assertEquals(hers.provider.error?.name, "ScopeMissingError");
    }
  },
  { inBrowser: true },
);

testReal("O36: what the READMEs show of an app works, with a real agent", async (pds, server) => {
  const { agent } = await signUp(pds, "alice");
  await withFile(block("ts", "does all three, anew for each connection"), async (path) => {
    const { openNotes } = await import(path);
    const page: Record<string, string> = {};
    const provider: TesseraProvider = openNotes(agent, server.url, page);
    provider.doc.getText("text").insert(0, "hello");
    assertEquals(page.mark, "Saving …");
    await provider.saved();
    assertEquals(page, { mark: "Saved", editable: "true", people: "" });
    provider.disconnect();
    assertEquals(page.mark, "Offline");
    provider.destroy();
  });

  const shown = block("ts", "Keeps Yjs documents in sync", clientReadme);
  const here = shown.replace("https://sync.example.com", server.url);
  const given = "export default async function (agent) {";
  const [imports, ...program] = here.split("\n\n");
  const whole = [imports, given, ...program, "return provider;", "}"].join("\n");
  await withFile(whole, async (path) => {
    const provider = await (await import(path)).default(agent);
    assertEquals([provider.status, provider.hasUnsavedChanges], ["online", false]);
    provider.destroy();
  });
});
