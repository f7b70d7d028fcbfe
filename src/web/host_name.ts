/** One label of a host name: https://www.rfc-editor.org/rfc/rfc1123#section-2.1, in lower case. */
const LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?";

/** As in an ATProto handle, the last label starts with a letter: so no IPv4 literal, however spelt, fits. */
const HOST_NAME = new RegExp(`^(?:${LABEL}\\.)+(?![0-9])${LABEL}$`);

/** The longest name that DNS can carry. */
const MAX_HOST_NAME = 253;

/** Whether `name` is a dotted DNS name in lower case: no address, port, user or escape. */
export function isHostName(name: string): boolean {
  return name.length <= MAX_HOST_NAME && HOST_NAME.test(name);
}
