import { assertEquals, assertRejects } from "@std/assert";
import { Refusal } from "../../src/refusal.ts";

const STATUS: Record<string, number> = {
  RateLimitExceeded: 429,
  TooBusy: 503,
  UpstreamFailure: 502,
  UpstreamTimeout: 504,
};

/** Fails unless `attempt` is refused with this name, and with the HTTP status that belongs to it. */
export async function assertRefused(
  attempt: Promise<unknown> | (() => unknown),
  name: string,
  what = name,
): Promise<Refusal> {
  const run = async () => await (typeof attempt === "function" ? attempt() : attempt);
  const refusal = await assertRejects(run, Refusal);
  assertEquals([refusal.name, refusal.status], [name, STATUS[name] ?? 401], what);
  return refusal;
}
