/** A year, as long as browsers like to remember it, in seconds. */
const HTTPS_ONLY = "max-age=31536000";

/** Our only page has styles of its own, and nothing else; and no page may show it. */
const PAGE =
  "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** What a browser is to make of an answer, whatever somebody else made of its address: https://owasp.org/www-project-secure-headers/ */
export function addSecurity({ headers }: Response, publicUrl: string): void {
  headers.set("content-security-policy", PAGE);
  headers.set("x-content-type-options", "nosniff");
  headers.set("referrer-policy", "no-referrer");
  if (publicUrl.startsWith("https:")) headers.set("strict-transport-security", HTTPS_ONLY);
}
