import { secretMatcher } from "../auth/secret.ts";
import { Refusal } from "../refusal.ts";
import type { Exchange } from "./exchange.ts";
import type { Parts } from "./parts.ts";
import { bearerToken } from "./xrpc.ts";

/** Prometheus' text format: https://prometheus.io/docs/instrumenting/exposition_formats/ */
const TEXT = "text/plain; version=0.0.4; charset=utf-8";

/** `GET /metrics`, for who has the token; nothing to see where there is none. */
export async function metrics({ request }: Exchange, parts: Parts): Promise<Response> {
  const { metricsToken, metrics } = parts;
  if (metricsToken === null) {
    throw new Refusal("NotFound", 404, "There is nothing at this address.");
  }
  const given = bearerToken(request);
  if (given === null) throw new Refusal("AuthMissing", 401, "This needs the token for metrics.");
  if (!secretMatcher(metricsToken)(given)) {
    throw new Refusal("InvalidToken", 401, "This is not the token for metrics.");
  }
  return metricsAnswer(await (await metrics()).text());
}

/** Metrics as an answer. */
export function metricsAnswer(text: string): Response {
  return new Response(text, { headers: { "content-type": TEXT, "cache-control": "no-store" } });
}
