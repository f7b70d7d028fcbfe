import { getLogger } from "@logtape/logtape";
import { Refusal } from "../refusal.ts";

const logger = getLogger(["tessera", "http"]);

/** A JSON answer. */
export function json(body: unknown, init?: ResponseInit): Response {
  const response = Response.json(body, init);
  if (!response.headers.has("cache-control")) response.headers.set("cache-control", "no-store");
  return response;
}

/**
 * An error in XRPC's shape (https://atproto.com/specs/xrpc#error-responses). Only a {@linkcode Refusal}
 * speaks for itself: the words of any other error are for the log.
 */
export function errorAnswer(error: unknown, realm: string): Response {
  if (!(error instanceof Refusal)) {
    logger.error("a request failed: {error}", { error });
    return json({ error: "InternalServerError", message: "Something went wrong on our side." }, {
      status: 500,
    });
  }
  const response = json({ error: error.name, message: error.message }, { status: error.status });
  if (error.retryAfter !== undefined) {
    response.headers.set("retry-after", String(error.retryAfter));
  }
  // https://www.rfc-editor.org/rfc/rfc9110#section-15.5.9: a proxy closes its line then (Deno does not).
  if (error.status === 408) response.headers.set("connection", "close");
  if (error.status === 401) {
    // https://www.rfc-editor.org/rfc/rfc6750#section-3: no error code when nothing was brought.
    const detail = error.name === "AuthMissing" ? "" : `, error="invalid_token"`;
    response.headers.set("www-authenticate", `Bearer realm="${realm}"${detail}`);
  }
  return response;
}
