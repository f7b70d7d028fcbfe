/** Linux counts a process's CPU time in hundredths of a second, on every machine of today. */
const TICKS_PER_SECOND = 100;

/** A server gets so long to end by itself, in ms; hocuspocus stores its documents then. */
const GOODBYE = 10_000;

/** How to start a server. */
export interface Launch {
  command: string[];
  env?: Record<string, string>;
  /** What it prints when it listens. */
  ready: RegExp;
}

/** A server that runs as a process of its own, and what it costs. */
export class ServerProcess implements AsyncDisposable {
  private constructor(
    private readonly child: Deno.ChildProcess,
    private readonly printed: Promise<unknown>,
    /** The part of its ready line that `ready` asked for. */
    readonly announced: RegExpExecArray,
  ) {}

  /** Starts it and waits until it listens. */
  static async start({ command, env, ready }: Launch): Promise<ServerProcess> {
    const child = new Deno.Command("sh", {
      args: withManyFiles(command),
      env: { NO_COLOR: "1", ...env },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const { promise: listens, resolve: announce } = Promise.withResolvers<RegExpExecArray>();
    const lines: string[] = [];
    const printed = readLines(child, (line) => {
      const match = ready.exec(line);
      if (match !== null) announce(match);
      lines.push(line);
    });
    const announced = await Promise.race([listens, printed]);
    if (announced === undefined) {
      throw new Error(`${command.join(" ")} did not start:\n${lines.join("\n")}`);
    }
    return new ServerProcess(child, printed, announced);
  }

  /** User and system time of all its threads so far, in seconds. */
  async cpuSeconds(): Promise<number> {
    return await cpuSeconds(this.child.pid);
  }

  /** What it occupies in memory, in bytes. */
  async residentBytes(): Promise<number> {
    const status = await Deno.readTextFile(`/proc/${this.child.pid}/status`);
    return Number(/VmRSS:\s+(\d+) kB/.exec(status)![1]) * 1024;
  }

  /** Asks it to end, and waits until it has. */
  async stop(): Promise<void> {
    const late = setTimeout(() => this.child.kill("SIGKILL"), GOODBYE);
    try {
      this.child.kill("SIGTERM");
    } catch {
      // It has ended already.
    }
    await this.printed;
    clearTimeout(late);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/** The CPU time of a process so far, in seconds. */
export async function cpuSeconds(pid: number | "self"): Promise<number> {
  const stat = await Deno.readTextFile(`/proc/${pid}/stat`);
  // After the name, which may hold spaces: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** The arguments for `sh` by which a command may open as many files, that is sockets, as it can. */
export function withManyFiles(command: string[]): string[] {
  return ["-c", 'ulimit -n "$(ulimit -Hn)"; exec "$@"', "sh", ...command];
}

async function readLines(
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
