/** A test that needs something real. Where that is missing (null), it is skipped: whoever looked for it says so. */
export function testReal<T>(
  rule: string,
  needed: T | null,
  body: (needed: T) => Promise<void>,
): void {
  Deno.test({ name: rule, ignore: needed === null, fn: () => body(needed!) });
}
