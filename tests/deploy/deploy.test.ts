import { assert, assertEquals } from "@std/assert";
import { parse as parseToml } from "smol-toml";
import { parse, parseAllDocuments } from "yaml";
import { SETTINGS } from "../../src/config.ts";
import { Metrics } from "../../src/observe/metrics.ts";
import { Tally } from "../../src/observe/tally.ts";
import { FakeClock } from "../fake_clock.ts";

const read = (name: string) => Deno.readTextFile(new URL(`../../deploy/${name}`, import.meta.url));

/** Variables that are not ours, but Deno's. */
const OF_DENO = ["DENO_DIR", "DENO_NO_UPDATE_CHECK", "DENO_KV_ACCESS_TOKEN"];

Deno.test("K1: manifests can be read, and name no setting that is not there", async () => {
  const compose = parse(await read("compose.yaml"));
  const fly = parseToml(await read("fly.toml")) as {
    env: object;
    mounts: { destination: string }[];
  };
  const [deployment, budget, service] = parseAllDocuments(await read("kubernetes/tessera.yaml"))
    .map((document) => document.toJS());
  assertEquals([deployment.kind, budget.kind, service.kind], [
    "Deployment",
    "PodDisruptionBudget",
    "Service",
  ]);
  const { env, ports, readinessProbe, livenessProbe } = deployment.spec.template.spec.containers[0];
  const unit = await read("tessera.service");
  const dockerfile = await read("Dockerfile");
  const assigned = (text: string) =>
    [...text.matchAll(/\b([A-Z][A-Z_]+)=/g)].map(([, name]) => name!);
  const named: Record<string, string[]> = {
    compose: Object.keys(compose.services.tessera.environment),
    fly: Object.keys(fly.env),
    kubernetes: env.map(({ name }: { name: string }) => name),
    unit: assigned(unit.match(/^Environment=.*$/m)![0]),
    Dockerfile: dockerfile.split("\n").filter((line) => line.startsWith("ENV ")).flatMap(assigned),
  };
  for (const [where, names] of Object.entries(named)) {
    assert(names.length > 0, where);
    for (const name of names) {
      assert(SETTINGS.includes(name) || OF_DENO.includes(name), `${name} in ${where}`);
    }
  }
  assertEquals([readinessProbe.httpGet.path, livenessProbe.httpGet.path], ["/readyz", "/livez"]);
  assertEquals(ports[0].containerPort, 8000);
  assertEquals(fly.mounts[0]!.destination, "/data");
  parse(await read("prometheus/prometheus.yml"));
  parse(await read("grafana/dashboards.yaml"));
  parse(await read("grafana/sources/prometheus.yaml"));
});

Deno.test("K1: the permissions are those of `deno task start`, with paths for files", async () => {
  const project = JSON.parse(await Deno.readTextFile(new URL("../../deno.json", import.meta.url)));
  const flags = (text: string) =>
    [...text.matchAll(/--(?:allow|deny)-[a-z]+(?:=[^\s",]+)?/g)].map(([flag]) => flag)
      .map((flag) => flag.replace(/^(--allow-(?:read|write))=.*/, "$1"));
  const wanted = flags(project.tasks.start).sort();
  for (const name of ["Dockerfile", "tessera.service"]) {
    assertEquals(flags(await read(name)).sort(), wanted, name);
  }
});

Deno.test("K2: each metric in the dashboard is one of ours", async () => {
  const census = () => ({ connections: 0, rooms: 0, storeIsDown: false, slowPeers: 0, waiting: 0 });
  const metrics = new Metrics(new Tally(), census, new FakeClock());
  const ours = new Set(
    [...(await metrics.text()).matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name),
  );
  const dashboard = JSON.parse(await read("grafana/tessera.json"));
  const expressions: string[] = dashboard.panels.flatMap(
    ({ targets }: { targets: { expr: string }[] }) => targets.map(({ expr }) => expr),
  );
  for (const expression of expressions) {
    for (const [name] of expression.matchAll(/\b(?:tessera|process)_[a-z_]+/g)) {
      assert(ours.has(name.replace(/_bucket$/, "")), name);
    }
  }
  assert(expressions.length >= 10);
  metrics.stop();
});

Deno.test("K5: deno.lock pins what the service needs, and not what only large tests or the demo do", async () => {
  const json = async (path: string) =>
    JSON.parse(await Deno.readTextFile(new URL(`../../${path}`, import.meta.url)));
  const nameOf = (specifier: string) => /^npm:\/?(@?[^@]+)/.exec(specifier)?.[1];
  const names = (specifiers: string[]) => new Set(specifiers.map(nameOf).filter(Boolean));
  const { imports } = await json("deno.json");
  const [lean, whole] = [await json("deno.lock"), await json("tests/deno.lock")];
  // If this fails: `git checkout deno.lock`, and use the tasks, which have a lock of their own.
  assertEquals(names(Object.keys(lean.specifiers)), names(Object.values(imports)));
  for (const [key, { integrity }] of Object.entries<{ integrity: string }>(lean.npm)) {
    assertEquals(whole.npm[key]?.integrity, integrity, `${key} is another in tests/deno.lock`);
  }
});
