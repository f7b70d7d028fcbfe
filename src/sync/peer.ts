import type { Role } from "../access/policy.ts";

/** One connection, as a room sees it. */
export interface Peer {
  /** Who it is. */
  readonly did: string;
  /** What it may do when it comes. */
  readonly role: Role;
  /** Its role is still to be confirmed: until then what it writes waits. */
  readonly provisional: boolean;
  /** Bytes that were sent and that its network has not taken yet. */
  readonly buffered: number;
  /** Sends one frame. Never throws: a connection that is gone is not the room's business. */
  send(frame: Uint8Array): void;
  /** Closes the connection. Frames that were sent before still arrive. */
  close(code: number, reason: string): void;
}
