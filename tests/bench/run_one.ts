/**
 * Runs one scenario against one contender, in a process of its own, and prints the metrics as one
 * line of JSON: `run_one.ts <scenario> <contender> <short|long>`. This process is the load generator.
 */
import { CONTENDERS } from "./contenders/mod.ts";
import type { Running } from "./contenders/contender.ts";
import { SCENARIOS } from "./scenarios/mod.ts";
import type { Form, Metrics } from "./scenarios/scenario.ts";

/** In ms: a run that takes longer hangs. */
const DEADLINE: Record<Form, number> = { short: 60_000, long: 300_000 };

async function runOne(scenarioName: string, contenderName: string, form: Form): Promise<Metrics> {
  const scenario = SCENARIOS.find(({ name }) => name === scenarioName)!;
  const contender = CONTENDERS.find(({ name }) => name === contenderName)!;
  await contender.prepare?.();
  const folder = await Deno.makeTempDir({ prefix: "tessera-bench-" });
  const started: Running[] = [];
  const { promise: never, reject: giveUp } = Promise.withResolvers<never>();
  const deadline = setTimeout(() => giveUp(new Error("it did not end")), DEADLINE[form]);
  const start = async (options = {}) => {
    const running = await contender.start({ folder, ...options });
    started.push(running);
    return running;
  };
  try {
    return await Promise.race([scenario.run({ form, contender, start }), never]);
  } finally {
    clearTimeout(deadline);
    await Promise.all(started.map(({ process }) => process.stop()));
    await Deno.remove(folder, { recursive: true });
  }
}

const [scenario, contender, form] = Deno.args;
try {
  console.log(JSON.stringify(await runOne(scenario!, contender!, form as Form)));
  Deno.exit(0); // sockets may still be open
} catch (error) {
  console.error(String(error));
  Deno.exit(1);
}
