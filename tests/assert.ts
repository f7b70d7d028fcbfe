/**
 * The part of `@std/assert` that these tests use, over `node:assert`, because JSR may be out of
 * reach. Same names, same meaning: `deno.json` has the one line that points at the real one.
 */
import { AssertionError, deepStrictEqual, notDeepStrictEqual } from "node:assert";

export { AssertionError };

/** Fails unless `expr` is truthy. */
export function assert(expr: unknown, msg = "Expected a truthy value"): asserts expr {
  if (!expr) throw new AssertionError({ message: msg });
}

/** Fails always. */
export function fail(msg = "Failed"): never {
  throw new AssertionError({ message: msg });
}

/** Deep equality, with types and prototypes. */
export function assertEquals<T>(actual: T, expected: T, msg?: string): void {
  deepStrictEqual(actual, expected, msg);
}

/** The opposite of {@linkcode assertEquals}. */
export function assertNotEquals<T>(actual: T, expected: T, msg?: string): void {
  notDeepStrictEqual(actual, expected, msg);
}

/** `Object.is` equality. */
export function assertStrictEquals<T>(
  actual: unknown,
  expected: T,
  msg?: string,
): asserts actual is T {
  if (!Object.is(actual, expected)) {
    throw new AssertionError({ message: msg, actual, expected, operator: "strictEqual" });
  }
}

/** Fails on null and undefined. */
export function assertExists<T>(actual: T, msg?: string): asserts actual is NonNullable<T> {
  if (actual === null || actual === undefined) {
    throw new AssertionError({ message: msg ?? `Expected a value, got ${actual}` });
  }
}

/** Fails unless `actual` contains `expected`. */
export function assertStringIncludes(actual: string, expected: string, msg?: string): void {
  if (actual.includes(expected)) return;
  throw new AssertionError({ message: msg ?? `Expected "${actual}" to contain "${expected}"` });
}

/** Fails unless `actual` matches `expected`. */
export function assertMatch(actual: string, expected: RegExp, msg?: string): void {
  if (expected.test(actual)) return;
  throw new AssertionError({ message: msg ?? `Expected "${actual}" to match ${expected}` });
}

/** Fails unless every property in `expected` is in `actual` with an equal value, at any depth. */
export function assertObjectMatch(
  actual: Record<PropertyKey, unknown>,
  expected: Record<PropertyKey, unknown>,
  msg?: string,
): void {
  deepStrictEqual(pick(actual, expected), expected, msg);
}

function pick(actual: unknown, expected: unknown): unknown {
  if (Array.isArray(expected) || expected === null || typeof expected !== "object") return actual;
  if (actual === null || typeof actual !== "object" || expected instanceof Uint8Array) {
    return actual;
  }
  const keys = Object.keys(expected).filter((key) => key in actual);
  return Object.fromEntries(keys.map((key) => [
    key,
    pick((actual as Record<string, unknown>)[key], (expected as Record<string, unknown>)[key]),
  ]));
}

// deno-lint-ignore no-explicit-any
type ErrorClass<E extends Error> = abstract new (...args: any[]) => E;

/** Fails unless `fn` throws an `ErrorClass` whose message contains `msgIncludes`. Returns the error. */
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  errorClass?: ErrorClass<E>,
  msgIncludes?: string,
): E {
  try {
    fn();
  } catch (error) {
    return checkThrown(error, errorClass, msgIncludes);
  }
  throw new AssertionError({ message: "Expected function to throw" });
}

/** Fails unless the promise of `fn` rejects with an `ErrorClass` whose message contains `msgIncludes`. */
export async function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  errorClass?: ErrorClass<E>,
  msgIncludes?: string,
): Promise<E> {
  try {
    await fn();
  } catch (error) {
    return checkThrown(error, errorClass, msgIncludes);
  }
  throw new AssertionError({ message: "Expected function to reject" });
}

function checkThrown<E extends Error>(error: unknown, errorClass?: ErrorClass<E>, words = ""): E {
  const wanted = errorClass ?? Error;
  if (!(error instanceof wanted)) {
    throw new AssertionError({ message: `Expected ${wanted.name}, got ${error}` });
  }
  assertStringIncludes(error.message, words);
  return error as E;
}
