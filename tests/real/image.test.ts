import { assertEquals } from "@std/assert";
import { shippedCommands } from "../deploy/commands.ts";
import { linesOf } from "../outside/server_process.ts";
import { testReal } from "./real_test.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

/** The user of the image. */
const NOBODY = 65532;

/** The image's Dockerfile, if its steps can be taken here: only root may become another user. */
function dockerfile(): string | null {
  if (Deno.uid() === 0) return Deno.readTextFileSync(`${ROOT}deploy/Dockerfile`);
  console.error("SKIPPED: the image's command as its user. Becoming another user takes root.");
  return null;
}

/** A Deno that any user can run. */
async function openDeno(folder: string): Promise<string> {
  await Deno.copyFile(await Deno.realPath(Deno.execPath()), `${folder}/deno`);
  await Deno.chmod(`${folder}/deno`, 0o755);
  return `${folder}/deno`;
}

testReal(
  "K6: the steps of the Dockerfile make what its command runs, as its user, with one worker and with two",
  dockerfile(),
  async (dockerfile) => {
    const folder = await Deno.makeTempDir();
    await Deno.chmod(folder, 0o755);
    const here = (text: string) =>
      text.replaceAll(/(^|[=,])\/(?=data|app|deno-dir)/g, `$1${folder}/`);
    for (const name of ["app", "data", "deno-dir"]) await Deno.mkdir(`${folder}/${name}`);
    await Deno.chown(`${folder}/data`, NOBODY, NOBODY);
    const run = async (program: string, args: string[], env: Record<string, string> = {}) => {
      const cwd = `${folder}/app`;
      const { code, stderr } = await new Deno.Command(program, { args, cwd, env }).output();
      assertEquals(code, 0, new TextDecoder().decode(stderr));
    };
    for (const [, what] of dockerfile.matchAll(/^COPY (?!--from)(.*) \.\/?.*$/gm)) {
      await run("cp", ["-r", ...what!.split(" ").map((each) => `${ROOT}${each}`), "."]);
    }
    const [program, ...args] = /^RUN (.*)$/m.exec(dockerfile)![1]!.split(" ");
    assertEquals(program, "deno");
    await run(Deno.execPath(), args, { DENO_DIR: `${folder}/deno-dir` });

    const shipped = (await shippedCommands()).find(({ name }) => name === "deploy/Dockerfile")!;
    const env = Object.entries(shipped.env).map(([name, value]) => [name, here(value)]);
    const deno = await openDeno(folder);
    for (const WORKERS of ["1", "2"]) {
      const child = new Deno.Command(deno, {
        args: shipped.command.slice(1).map(here),
        cwd: `${folder}/app`,
        clearEnv: true,
        env: { ...Object.fromEntries(env), PORT: "0", WORKERS, NO_COLOR: "1" },
        uid: NOBODY,
        gid: NOBODY,
        stdout: "piped",
        stderr: "piped",
      }).spawn();
      const log: string[] = [];
      const printed = linesOf(child, (line) => {
        log.push(line);
        if (line.includes(" is ready at ")) child.kill("SIGTERM");
      });
      await printed;
      assertEquals((await child.status).code, 0, log.join("\n"));
      const stopped = log.filter((line) => line.includes('"stopped"'));
      assertEquals(stopped.length, Number(WORKERS), log.join("\n"));
    }
    await Deno.remove(folder, { recursive: true });
  },
);
