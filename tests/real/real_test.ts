/** On CI, everything that a test needs has to be there: a test that is skipped would prove nothing. */
const onCI = Deno.env.get("CI") === "true";

/**
 * A test that needs something real. Where that is missing (null), the test is skipped, and named; on CI
 * it fails. Whoever looked for what is missing says how to get it.
 */
export function testReal<T>(
  rule: string,
  needed: T | null,
  body: (needed: T) => Promise<void>,
): void {
  if (needed === null) console.error(`SKIPPED: ${rule}`);
  Deno.test({
    name: rule,
    ignore: needed === null && !onCI,
    fn: async () => {
      if (needed === null) throw new Error("What it needs is not on this machine (see SKIPPED)");
      await body(needed);
    },
  });
}
