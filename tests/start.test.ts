import { assert, assertEquals } from "@std/assert";
import project from "../deno.json" with { type: "json" };
import { runTask, runToEnd, ServerProcess } from "./outside/server_process.ts";

/** Starts the service, which cannot start, and says so in one plain line with exit code 1. */
async function refuses(env: Record<string, string>, ...words: string[]): Promise<void> {
  const { code, printed } = await runToEnd({ PORT: "0", KV_PATH: ":memory:", ...env });
  assertEquals(code, 1, printed);
  assert(printed.startsWith("Tessera cannot start"), printed);
  const lines = printed.split("\n").filter((line) => !line.startsWith("Tessera cannot start with"));
  assertEquals(lines.length, 1, printed);
  for (const word of words) assert(printed.includes(word), `"${word}" is not in: ${printed}`);
}

Deno.test("C5: a port that is in use, or an address that is not ours, is an error that names the setting", async () => {
  using taken = Deno.listen({ port: 0, hostname: "0.0.0.0" });
  const { port } = taken.addr as Deno.NetAddr;
  await refuses({ PORT: String(port) }, `port ${port} is in use; set PORT to another`);
  await refuses({ METRICS_PORT: String(port) }, `port ${port} is in use; set METRICS_PORT`);
  await refuses(
    { PORT: "8000", METRICS_PORT: "8000" },
    "METRICS_PORT must be another port than PORT",
  );
  await refuses(
    { HOST: "203.0.113.9" },
    "HOST is 203.0.113.9, which is not an address of this machine",
  );
  await refuses(
    { HOST: "no-such-host.invalid" },
    "HOST is no-such-host.invalid, which has no address",
  );
  await refuses({ HOST: "a b" }, "HOST must be an address");
});

Deno.test("C5: a store that cannot be opened is an error that names what to change", async () => {
  const folder = await Deno.makeTempDir();
  const file = `${folder}/file`;
  await Deno.writeTextFile(file, "");
  const path = (path: string) => ({ KV_PATH: path });
  await refuses(path(`${folder}/none/x.sqlite3`), `there is no folder ${folder}/none`);
  await refuses({ KV_PATH: "", DATA_DIR: `${folder}/none` }, `there is no folder ${folder}/none`);
  await refuses(path(`${file}/x.sqlite3`), `${file} is not a folder`);
  await refuses(path(folder), "that is a folder, and should be a file in one");
  await refuses(
    path("http://127.0.0.1:9"),
    "KV_PATH is the URL of a KV server, which needs DENO_KV_ACCESS_TOKEN",
  );
  assert(!await Deno.stat(`${folder}/none`).then(() => true, () => false));
  await Deno.remove(folder, { recursive: true });
});

Deno.test(
  "C5: a KV server that cannot be reached, or does not know the token, is an error that names it",
  {
    ignore: Deno.version.deno.startsWith("2.5."), // which prints each of its own tries
  },
  async () => {
    const DENO_KV_ACCESS_TOKEN = "hush";
    await refuses({ KV_PATH: "http://127.0.0.1:9", DENO_KV_ACCESS_TOKEN }, "http://127.0.0.1:9");
    await using wrong = Deno.serve(
      { port: 0, onListen: () => {} },
      () => new Response("", { status: 401 }),
    );
    const KV_PATH = `http://127.0.0.1:${wrong.addr.port}`;
    await refuses({ KV_PATH, DENO_KV_ACCESS_TOKEN }, KV_PATH, "401");
  },
);

Deno.test("C8: a permission that is missing is an error that names the flag", async () => {
  const folder = await Deno.makeTempDir();
  for (const flag of ["--allow-net", "--allow-read", "--allow-write"]) {
    const flags = project.tasks.start.split(" ").slice(2, -1).filter((each) => each !== flag);
    const { code, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-prompt", ...flags, "main.ts"],
      cwd: new URL("../", import.meta.url).pathname,
      env: { NO_COLOR: "1", PORT: "0", KV_PATH: `${folder}/x.sqlite3` },
    }).output();
    const printed = new TextDecoder().decode(stderr).trim();
    assertEquals([code, printed.split("\n").length], [1, 1], printed);
    assert(printed.startsWith("Tessera cannot start: ") && printed.includes(flag), printed);
  }
  await Deno.remove(folder, { recursive: true });
});

Deno.test("C9: SIGHUP and SIGINT stop the service as SIGTERM does", async () => {
  for (const signal of ["SIGHUP", "SIGINT", "SIGTERM"] as const) {
    await using server = await ServerProcess.start({ KV_PATH: ":memory:" });
    assertEquals(await server.stop(signal), 0);
    assert(server.log.some((line) => line.includes('"stopped"')), signal);
  }
});

const COMMANDS = [
  ...["start", "export", "import", "doctor", "demo"],
  ...["sim", "sim:break", "fuzz", "bench", "soak"],
] as const;

for (const command of COMMANDS) {
  Deno.test(`C10: \`deno task ${command}\` explains itself, and names an option that it does not have`, async () => {
    const env = { KV_PATH: ":memory:", PORT: "0" };
    for (const flag of ["--help", "-h"]) {
      const help = await runTask(command, [flag], env);
      assertEquals(help.code, 0, help.printed);
      assert(help.printed.startsWith("usage: deno task "), help.printed);
    }
    const wrong = await runTask(command, ["--no-such-option"], env);
    assertEquals(wrong.code, 2, wrong.printed);
    assert(wrong.printed.includes("--no-such-option"), wrong.printed);
    assert(wrong.printed.includes("usage: "), wrong.printed);
  });
}
