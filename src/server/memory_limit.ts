import process from "node:process";

/** More than any machine has, in bytes: cgroup v1 says 2^63 where there is no limit. */
const NO_LIMIT = 2 ** 50;

/**
 * Bytes of memory that the control group of this process may use; undefined without a limit. Limits of
 * the groups around it are not seen. Deno itself reads this: its programs are not let into /proc and
 * /sys, whatever `--allow-read` says. Needs `--allow-sys=systemMemoryInfo`, and Deno 2.7.
 */
export function memoryLimit(): number | undefined {
  try {
    const limit = process.constrainedMemory?.() ?? 0;
    return limit > 0 && limit < NO_LIMIT ? limit : undefined;
  } catch {
    return undefined; // not permitted: MAX_MEMORY says it then
  }
}
