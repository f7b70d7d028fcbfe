/** How long a browser may remember the answer to a preflight, in seconds: a day, which browsers cap anyway. */
const MAX_AGE = "86400";

/** Whether a page from this origin may call. Who sends no origin is no browser, and bound by nothing. */
export function originAllowed(allowed: "*" | string[], origin: string | null): boolean {
  return allowed === "*" || origin === null || allowed.includes(origin);
}

/** The answer to a CORS preflight: https://fetch.spec.whatwg.org/#cors-preflight-fetch. */
export function preflight(): Response {
  return new Response(null, {
    status: 204,
    headers: {
      "access-control-allow-methods": "GET, HEAD, POST, OPTIONS",
      "access-control-allow-headers": "authorization, content-type, atproto-proxy",
      "access-control-max-age": MAX_AGE,
    },
  });
}

/** Lets pages from allowed origins read the answer. */
export function addCors(
  response: Response,
  allowed: "*" | string[],
  origin: string | null,
): Response {
  const { headers } = response;
  headers.set("access-control-expose-headers", "retry-after, www-authenticate, x-request-id");
  if (allowed === "*") headers.set("access-control-allow-origin", "*");
  else {
    headers.append("vary", "origin");
    if (origin !== null && allowed.includes(origin)) {
      headers.set("access-control-allow-origin", origin);
    }
  }
  return response;
}
