const MAX_BYTES = 512;

/** C0 and C1 control characters: they have no place in a name that logs and URLs carry. */
// deno-lint-ignore no-control-regex
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;

/** What is wrong with a room's name, in words, or null when nothing is. */
export function roomNameFault(name: string): string | null {
  if (name === "") return "A room needs a name.";
  if (!name.isWellFormed()) return "A room's name must be well-formed Unicode.";
  const bytes = new TextEncoder().encode(name).length;
  if (bytes > MAX_BYTES) {
    return `A room's name has at most ${MAX_BYTES} bytes; this one has ${bytes}.`;
  }
  if (CONTROL.test(name)) return "A room's name has no control characters.";
  // A URL cannot carry these: every client folds them away, even percent-encoded.
  if (name === "." || name === "..") return `A room cannot be named "${name}".`;
  return null;
}
