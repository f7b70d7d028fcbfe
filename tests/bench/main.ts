/**
 * `deno task bench` compares this service with others in one run, the contenders in turn, several
 * rounds; `--long` runs every scenario, `--only <scenario>` and `--contenders a,b` choose.
 */
import { readArgs } from "../../src/cli/args.ts";
import { CONTENDERS } from "./contenders/mod.ts";
import { SCENARIOS } from "./scenarios/mod.ts";
import type { Form, Metrics, Scenario } from "./scenarios/scenario.ts";
import { summarize } from "./stats.ts";

const { values } = readArgs(
  "usage: deno task bench [--long] [--only <scenario>] [--contenders <a,b>] [--rounds <number>]",
  {
    long: { type: "boolean", default: false },
    only: { type: "string" },
    contenders: { type: "string" },
    rounds: { type: "string" },
  },
);
const form: Form = values.long ? "long" : "short";
const rounds = Number(values.rounds ?? (values.long ? 5 : 2));
const chosen = values.contenders?.split(",") ??
  (values.long ? CONTENDERS.map(({ name }) => name) : ["tessera", "y-websocket", "hocuspocus"]);

const scenarios = SCENARIOS.filter(({ name, isShort }) =>
  values.only ? name === values.only : values.long || isShort
);
for (const scenario of scenarios) await compare(scenario);

/** Runs one scenario and prints its table, in Markdown. */
async function compare(scenario: Scenario): Promise<void> {
  const contenders = CONTENDERS.filter((each) => chosen.includes(each.name) && scenario.suits(each))
    .map(({ name }) => name);
  const results = new Map<string, Metrics[]>(contenders.map((name) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const name of contenders) {
      const metrics = await runOne(scenario.name, name);
      if (metrics === null) results.delete(name);
      else results.get(name)?.push(metrics);
    }
  }
  console.log(`\n### ${scenario.name}\n\n${scenario.about}\n`);
  const columns = Object.keys([...results.values()].find((runs) => runs.length > 0)?.[0] ?? {});
  console.log(`| | ${columns.join(" | ")} |\n|---|${columns.map(() => "---:").join("|")}|`);
  for (const name of contenders) {
    const runs = results.get(name);
    const cells = columns.map((column) => runs ? cell(runs.map((run) => run[column])) : "failed");
    console.log(`| ${name} | ${cells.join(" | ")} |`);
  }
}

/** One measurement in a process of its own; null when it failed. */
async function runOne(scenario: string, contender: string): Promise<Metrics | null> {
  const script = new URL("./run_one.ts", import.meta.url).pathname;
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", script, scenario, contender, form],
  }).output();
  if (success) return JSON.parse(new TextDecoder().decode(stdout));
  console.error(`${contender} failed in ${scenario}: ${new TextDecoder().decode(stderr)}`);
  return null;
}

/** The median, and how far the rounds went apart; a dash where there is nothing to measure. */
function cell(measured: (number | undefined)[]): string {
  const values = measured.filter((value) => value !== undefined);
  if (values.length === 0) return "-";
  const { median, min, max } = summarize(values);
  const show = (value: number) =>
    value >= 1_000 ? Math.round(value).toLocaleString("en") : value.toPrecision(3);
  return `${show(median)} (${show(min)}-${show(max)})`;
}
