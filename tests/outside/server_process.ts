import project from "../../deno.json" with { type: "json" };

const ROOT = new URL("../../", import.meta.url).pathname;

const SERVICE = { name: "start", ready: / is ready at (\S+) / } as const;

/** The service as its users run it: a process, its settings in the environment, its log on its outputs. */
export class ServerProcess implements AsyncDisposable {
  private constructor(
    private readonly child: Deno.ChildProcess,
    /** The origin that its ready line names. */
    readonly url: string,
    /** Every line that it has printed so far. */
    readonly log: string[],
    private readonly printed: Promise<unknown>,
  ) {}

  /**
   * Starts it and waits for its ready line. Everyone may write everywhere, unless `env` says otherwise.
   * @param task What is started, and what it says of its origin once it is ready.
   * @param folder The project that is run. Default: this one.
   */
  static async start(
    env: Record<string, string>,
    task: { name: keyof typeof project.tasks; ready: RegExp } = SERVICE,
    folder = ROOT,
  ): Promise<ServerProcess> {
    const log: string[] = [];
    const { promise: ready, resolve: announce } = Promise.withResolvers<string>();
    const defaults = { PORT: "0", LOG_FORMAT: "json", LOG_LEVEL: "debug", ACCESS_POLICY: "open" };
    const child = spawn({ ...defaults, ...env }, task.name, [], folder);
    const printed = linesOf(child, (line) => {
      log.push(line);
      const url = task.ready.exec(line)?.[1];
      if (url !== undefined) announce(url);
    });
    const url = await Promise.race([ready, printed]);
    if (url === undefined) throw new Error(`the server did not start:\n${log.join("\n")}`);
    return new ServerProcess(child, url, log, printed);
  }

  get pid(): number {
    return this.child.pid;
  }

  /** Its origin for sockets. */
  get socketUrl(): string {
    return this.url.replace("http", "ws");
  }

  /** Ends it without a warning. */
  async kill(): Promise<void> {
    await this.stop("SIGKILL");
  }

  /** Asks it to end, and returns its exit code. */
  async stop(signal: Deno.Signal = "SIGTERM"): Promise<number> {
    this.child.kill(signal);
    await this.printed;
    return (await this.child.status).code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.kill();
    } catch {
      // It has ended already.
    }
  }
}

/** Runs it until it ends by itself: its exit code, and what it printed. */
export function runToEnd(env: Record<string, string>): Promise<Ended> {
  return runTask("start", [], env);
}

/** How a process ended. */
export interface Ended {
  code: number;
  printed: string;
}

/** Runs `deno task <task> <args>` until it ends. */
export async function runTask(
  task: keyof typeof project.tasks,
  args: string[],
  env: Record<string, string>,
  folder = ROOT,
): Promise<Ended> {
  const child = spawn(env, task, args, folder);
  const lines: string[] = [];
  await linesOf(child, (line) => lines.push(line));
  return { code: (await child.status).code, printed: lines.join("\n") };
}

/**
 * What a task would start, with its permissions. One process, not `deno task` with a child, so that a
 * signal reaches the program itself.
 */
function spawn(
  env: Record<string, string>,
  task: keyof typeof project.tasks,
  args: string[] = [],
  folder = ROOT,
): Deno.ChildProcess {
  const [, ...flags] = project.tasks[task].split(" ");
  return new Deno.Command(Deno.execPath(), {
    args: [...flags, ...args],
    cwd: folder,
    env: { NO_COLOR: "1", ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Reads what a process prints, a line at a time, until it ends. */
export async function linesOf(
  child: Deno.ChildProcess,
  onLine: (line: string) => void,
): Promise<undefined> {
  await Promise.all([child.stdout, child.stderr].map(async (stream) => {
    let rest = "";
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      lines.forEach(onLine);
    }
  }));
}
