import { freePort } from "../free_port.ts";

/** The real KV server, `denokv`, on a store of its own: several service processes can share it. */
export class KvServer implements AsyncDisposable {
  private constructor(
    private readonly child: Deno.ChildProcess,
    private readonly folder: string,
    /** What a service's environment needs to use it. */
    readonly env: { KV_PATH: string; DENO_KV_ACCESS_TOKEN: string },
  ) {}

  /** Starts it and waits until it answers. `program` is where {@linkcode findKvServer} found it. */
  static async start(program: string): Promise<KvServer> {
    const folder = await Deno.makeTempDir();
    const port = freePort();
    const token = crypto.randomUUID();
    const child = new Deno.Command(program, {
      args: [
        ...["--sqlite-path", `${folder}/kv.sqlite3`, "serve"],
        ...["--access-token", token, "--addr", `127.0.0.1:${port}`],
      ],
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    const reader = child.stderr.pipeThrough(new TextDecoderStream()).getReader();
    let printed = "";
    while (!printed.includes("Listening on")) {
      const { done, value } = await reader.read();
      if (done) throw new Error(`the KV server did not start:\n${printed}`);
      printed += value;
    }
    reader.cancel();
    const env = { KV_PATH: `http://127.0.0.1:${port}`, DENO_KV_ACCESS_TOKEN: token };
    return new KvServer(child, folder, env);
  }

  /** Stops it in the middle of whatever it does, until {@linkcode goOn}. */
  stall(): void {
    this.child.kill("SIGSTOP");
  }

  goOn(): void {
    this.child.kill("SIGCONT");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.goOn();
    this.child.kill("SIGKILL");
    await this.child.status;
    await Deno.remove(this.folder, { recursive: true });
  }
}

/** Where the program is, or null. `cargo install denokv --locked` puts it where this looks. */
export async function findKvServer(): Promise<string | null> {
  const home = Deno.env.get("HOME");
  for (const program of ["denokv", `${home}/.cargo/bin/denokv`]) {
    try {
      const { success } = await new Deno.Command(program, { args: ["--help"] }).output();
      if (success) return program;
    } catch {
      // Not there.
    }
  }
  return null;
}
