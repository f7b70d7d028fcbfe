import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { block, readme, withFile } from "./readme.ts";
import { ServerProcess } from "./server_process.ts";

/** Where a reader stands: the token goes into a file here. */
const cwd = await Deno.makeTempDir();
addEventListener("unload", () => Deno.removeSync(cwd, { recursive: true }));

async function output(command: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await new Deno.Command(command, { args, cwd }).output();
  const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  assertEquals(code, 0, err);
  return out!;
}

Deno.test("O9: the README's five minutes go as it says: two people in one document, and a ticket by curl", async () => {
  const [makeToken, start] = block("sh", "Start it with a development token").split("\n");
  await output("sh", "-c", makeToken!);
  const value = /UNSAFE_DEV_TOKEN=(\$\(.*?\)) /.exec(start!)![1]!;
  const UNSAFE_DEV_TOKEN = (await output("sh", "-c", `echo ${value}`)).trim();
  assertMatch(UNSAFE_DEV_TOKEN, /^[0-9a-f]{32}$/);
  await using server = await ServerProcess.start({
    KV_PATH: ":memory:",
    UNSAFE_DEV_TOKEN,
    ACCESS_POLICY: "", // as it is by default
  });
  const here = (text: string) => text.replaceAll("http://localhost:8000", server.url);

  await withFile(here(block("ts", "let two people write")), async (path) => {
    const flags = /run (.*) two-people.ts/.exec(readme)![1]!.split(" ");
    const run = () => output(Deno.execPath(), "run", ...flags, path);
    const first = await run();
    assertStringIncludes(first, "alice is the owner of this room, and has saved");
    assertStringIncludes(first, "bob reads: Hello");
    assertEquals((await run()).match(/Hello/g)!.length, 2, "the greeting of before is not there");
  });

  const curl = here(block("sh", "A ticket is one call away"));
  const answer = JSON.parse(await output("sh", "-c", `${curl.trim()} --silent --show-error`));
  const shown = JSON.parse(block("json", "A ticket is one call away"));
  assertEquals(Object.keys(answer), Object.keys(shown));
});

Deno.test("O9: the README's program says in one line what is wrong, and ends: no service, a wrong token", async () => {
  const program = block("ts", "let two people write");
  await Deno.writeTextFile(`${cwd}/.dev-token`, "a-token");
  await using server = await ServerProcess.start({
    KV_PATH: ":memory:",
    UNSAFE_DEV_TOKEN: "another-token-than-the-readme-has",
  });
  const ways = [
    ["http://localhost:1", "The service at http://localhost:1 cannot be reached."],
    [server.url, "The service does not accept this token."],
  ] as const;
  for (const [endpoint, words] of ways) {
    await withFile(program.replaceAll("http://localhost:8000", endpoint), async (path) => {
      const args = ["run", "--allow-net", "--allow-env", "--allow-read", "--quiet", path];
      const ended = await new Deno.Command(Deno.execPath(), { args, cwd }).output();
      const [out, err] = [ended.stdout, ended.stderr].map((bytes) =>
        new TextDecoder().decode(bytes)
      );
      assertEquals([ended.code, out, err!.trim()], [1, "", words]);
    });
  }
});

Deno.test("M10: the README's commands share a room with two people, take them out, and make a link that works", async () => {
  await Deno.writeTextFile(`${cwd}/.dev-token`, "a-token-of-mine");
  await using server = await ServerProcess.start({
    KV_PATH: ":memory:",
    UNSAFE_DEV_TOKEN: "a-token-of-mine",
    ACCESS_POLICY: "", // as it is by default
  });
  const run = async (did: string, commands: string) => {
    const answers = await output(
      "sh",
      "-c",
      `${share.slice(0, share.indexOf("sync putMember"))}${commands}`
        .replaceAll("http://localhost:8000", server.url)
        .replace('\\"did\\": \\"did:web:alice.example\\"', `\\"did\\": \\"${did}\\"`),
    );
    return JSON.parse(`[${answers.replaceAll("}{", "},{")}]`);
  };
  const [alice, bob, carol] = ["alice", "bob", "carol"].map((name) => `did:web:${name}.example`);
  const share = block("sh", "**Share with a person.**");
  const role = async (did: string) => {
    const [{ role, error }] = await run(did, `sync getTicket '"more": 1'`);
    return role ?? error;
  };
  assertEquals(await run(alice!, share.slice(share.indexOf("sync putMember"))), [{}, {}]);
  assertEquals([await role(bob!), await role(carol!)], ["writer", "reader"]);
  assertEquals(await run(alice!, block("sh", "**Change your mind.**")), [{}, {}, {}]);
  assertEquals([await role(bob!), await role(carol!)], ["reader", "Forbidden"]);
  const [{ secret, usesLeft, expiresAt }] = await run(alice!, block("sh", "**Share a link.**"));
  assertEquals(usesLeft, 10);
  assertEquals(Math.round((Date.parse(expiresAt) - Date.now()) / 3_600_000), 24);
  const redeem = `sync redeemInvite '"secret": "${secret}"'`;
  assertEquals((await run("did:web:dave.example", redeem))[0].role, "writer");
  assertEquals((await run(carol!, redeem))[0].error, "Forbidden");
});
