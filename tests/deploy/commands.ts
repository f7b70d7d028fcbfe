import { parse as parseToml } from "smol-toml";
import { parse, parseAllDocuments } from "yaml";

const ROOT = new URL("../../", import.meta.url).pathname;

const read = (path: string) => Deno.readTextFile(`${ROOT}${path}`);

/** How a file starts the service. */
export interface ShippedCommand {
  /** The file, or the file that says in which image, and with which settings. */
  name: string;
  /** Program and arguments, as they stand in the file. */
  command: string[];
  env: Record<string, string>;
  /** Where the file has the code, the data and Deno. */
  code: string;
  data: string;
  deno: string;
}

/** Every command in a shipped file that starts the service. */
export async function shippedCommands(): Promise<ShippedCommand[]> {
  const unit = await read("deploy/tessera.service");
  const image = imageOf(await read("deploy/Dockerfile"));
  const { services } = parse(await read("deploy/compose.yaml"), { merge: true });
  const fly = parseToml(await read("deploy/fly.toml")) as { env: Record<string, string> };
  const [{ spec }] = parseAllDocuments(await read("deploy/kubernetes/tessera.yaml"))
    .map((document) => document.toJS());
  const pod: { name: string; value?: string }[] = spec.template.spec.containers[0].env;
  const inPod = pod.map(({ name, value }) => [name, value ?? "secret"]);
  const inImage = (name: string, env: Record<string, string>) => ({
    ...image,
    name: `deploy/${name}`,
    env: { ...image.env, ...env },
  });
  const start = /^npx --yes (deno@\S+) (task start)$/m.exec(await read("README.md"))!;
  return [
    {
      name: "deploy/tessera.service",
      command: valueOf(unit, "ExecStart").split(" "),
      env: assignments(valueOf(unit, "Environment")),
      code: valueOf(unit, "WorkingDirectory"),
      data: "/var/lib/tessera",
      deno: "/usr/local/bin/deno",
    },
    inImage("Dockerfile", {}),
    inImage("compose.yaml", services.tessera.environment),
    inImage("fly.toml", fly.env),
    inImage("kubernetes/tessera.yaml", Object.fromEntries(inPod)),
    {
      name: "README.md",
      command: ["deno", ...start[2]!.split(" ")],
      env: {},
      code: "",
      data: "./data",
      deno: "deno",
    },
  ];
}

function imageOf(dockerfile: string): Omit<ShippedCommand, "name"> {
  return {
    command: JSON.parse(/^ENTRYPOINT (.*)$/m.exec(dockerfile)![1]!),
    env: assignments([...dockerfile.matchAll(/^ENV (.*)$/gm)].at(-1)![1]!),
    code: "/app",
    data: "/data",
    deno: "deno",
  };
}

function valueOf(unit: string, name: string): string {
  return new RegExp(`^${name}=(.*)$`, "m").exec(unit)![1]!;
}

function assignments(text: string): Record<string, string> {
  return Object.fromEntries(text.split(" ").map((each) => each.split(/=(.*)/s).slice(0, 2)));
}
