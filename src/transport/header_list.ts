/**
 * The members of a header that is a list: separated by commas, with spaces and tabs around them that do not
 * count, and empty ones that are passed over. Several lines of a header are one list, joined by commas.
 * https://www.rfc-editor.org/rfc/rfc9110#section-5.6.1
 */
export function membersOf(header: string | null | undefined): string[] {
  return (header ?? "").split(",").map((member) => member.replace(/^[ \t]+|[ \t]+$/g, ""))
    .filter((member) => member !== "");
}

/** Whether a list of case-insensitive tokens, such as `Connection` and `Upgrade`, has this one. */
export function hasToken(header: string | null | undefined, token: string): boolean {
  return membersOf(header).some((member) => member.toLowerCase() === token);
}
