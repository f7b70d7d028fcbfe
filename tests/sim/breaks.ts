/**
 * Shows that the simulation can fail: `deno task sim:break [--seeds 200]` breaks a copy of `src/` on
 * purpose, one way at a time, and says how many worlds notice.
 */
import { readArgs } from "../../src/cli/args.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

/** A deliberate fault: what is replaced by what, in which file. */
const BREAKS: { name: string; file: string; replace: string; by: string }[] = [
  {
    name: "acknowledge before the commit",
    file: "src/sync/room.ts",
    replace: `await this.#commit(batch.filter((arrival) => arrival.type === "update"));`,
    by: `this.#commit(batch.filter((arrival) => arrival.type === "update")).catch(() => {});`,
  },
  {
    name: "clear what has arrived after the await",
    file: "src/sync/room.ts",
    replace: "for (const arrival of done) {",
    by: "this.#arrivals.clear();\n        for (const arrival of done) {",
  },
  {
    name: "skip the load gate",
    file: "src/sync/stored_document.ts",
    replace: "this.#document ??= await this.#read(this.#log);",
    by: "this.#document ??= new Document();",
  },
  {
    name: "drop what other instances stored",
    file: "src/sync/room.ts",
    replace: "    await this.#merge(missed);\n  }",
    by: "  }",
  },
  {
    name: "acknowledge an update with a gap",
    file: "src/sync/room.ts",
    replace: "if (isTorn) return",
    by: "if (false) return",
  },
  {
    name: "keep an update that waits for its parents",
    file: "src/sync/document.ts",
    replace: "    store.pendingStructs = null;\n    store.pendingDs = null;\n",
    by: "",
  },
  {
    name: "leave the document spoilt by a bad update",
    file: "src/sync/room.ts",
    replace: "    await this.#rebuild();\n    if (updates.length > 1)",
    by: "    if (updates.length > 1)",
  },
  {
    name: "fold the log into an empty snapshot",
    file: "src/sync/stored_document.ts",
    replace: "this.#log.compact(snapshot)",
    by: "this.#log.compact(new Document().state())",
  },
  {
    name: "forget what a slow peer has missed",
    file: "src/sync/delivery.ts",
    replace: "const at = this.#at!;",
    by: "const at = this.#at!;\n    version = at.version ?? version;",
  },
  {
    name: "send slow peers everything",
    file: "src/sync/broadcast.ts",
    replace: "if (member === author || !member.delivery.live) continue;",
    by: "if (member === author) continue;",
  },
  {
    name: "send updates to who has not asked for the document",
    file: "src/sync/delivery.ts",
    replace: "return this.#hasAsked && !this.behind;",
    by: "return !this.behind;",
  },
  {
    name: "tell other instances of presence once, whether they hear it or not",
    file: "src/sync/announcer.ts",
    replace: "if (!this.#latest.has(room)) this.#latest.set(room, present);",
    by: "",
  },
  {
    name: "forget to say who has gone",
    file: "src/sync/presence.ts",
    replace: "gone.push({ clientId, clock: client.clock + ++client.lift, state: GONE });",
    by: "",
  },
  {
    name: "commit what came when its sender might write",
    file: "src/sync/room.ts",
    replace: "this.#arrivals.take(weight, (update) => this.#isAllowed(update));",
    by: "this.#arrivals.take(weight, () => true);",
  },
  {
    name: "commit whatever has changed since roles were asked for",
    file: "src/sync/stored_document.ts",
    replace: "this.#log.append(update, premise)",
    by: "this.#log.append(update)",
  },
  {
    name: "believe a role for good",
    file: "src/sync/member.ts",
    replace: "peer.provisional ? REFUTED : null",
    by: "null",
  },
  {
    name: "keep what was refused in the document",
    file: "src/sync/room.ts",
    replace: "    await this.#rebuild();\n    await this.#commit(updates.filter",
    by: "    await this.#commit(updates.filter",
  },
  {
    name: "let go of who leaves while it waits",
    file: "src/sync/room.ts",
    replace:
      `} while (this.#arrivals.has((arrival) => "member" in arrival && arrival.member === member));`,
    by: "} while (false);",
  },
  {
    name: "show what was missed bit by bit",
    file: "src/sync/room.ts",
    replace: "if (missed.length > 0) this.#broadcast.publish(mergeUpdates(missed));",
    by: "for (const update of missed) this.#broadcast.publish(update);",
  },
  {
    name: "go on with the old log under a document that was read anew",
    file: "src/sync/stored_document.ts",
    replace: "    this.#log = log; //",
    by: "    //",
  },
  {
    name: "acknowledge an update when its first slice is durable",
    file: "src/sync/arrivals.ts",
    replace: "        held.add(arrival.member);",
    by: "",
  },
  {
    name: "forget all but the first slice",
    file: "src/sync/arrivals.ts",
    replace: "if (isDue && arrival.read!.slices.done) {",
    by: "if (isDue) {",
  },
  {
    name: "tell who comes back of nobody anew",
    file: "src/sync/presence.ts",
    replace: "client.lift = Math.max(client.lift, shift - client.shift);",
    by: "",
  },
];

const { values } = readArgs("usage: deno task sim:break [--seeds <number>]", {
  seeds: { type: "string", default: "200" },
});

for (const { name, file, replace, by } of BREAKS) {
  const copy = await Deno.makeTempDir();
  for (const part of ["src", "tests", "deno.json", "deno.lock"]) {
    await new Deno.Command("cp", { args: ["-r", `${ROOT}${part}`, copy] }).output();
  }
  const source = await Deno.readTextFile(`${copy}/${file}`);
  if (!source.includes(replace)) throw new Error(`"${name}" finds nothing to break in ${file}`);
  await Deno.writeTextFile(`${copy}/${file}`, source.replace(replace, by));
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-check", "--allow-all", "tests/sim/main.ts", "--seeds", values.seeds],
    cwd: copy,
    stderr: "null",
  }).output();
  const printed = new TextDecoder().decode(stdout);
  const seeds = [...printed.matchAll(/^seed (\d+):/gm)].map(([, seed]) => seed);
  const died = printed.includes(" worlds passed") ? "" : ", and the rest of the run";
  console.log(
    `${seeds.length} of ${values.seeds}${died}: ${name} (${seeds.slice(0, 5).join(", ")})`,
  );
  await Deno.remove(copy, { recursive: true });
}
