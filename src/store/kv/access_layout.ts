/**
 * How the access to rooms lies in Deno KV. The record of a room is what every change checks; all other
 * values carry the `id` of the record that they belong to ({@linkcode belongs}), so that nothing
 * written for a deleted room is ever read for a later one of the same name.
 */

/** What a value of a room carries, and the room's record: which of the rooms of this name it is about. */
export interface Incarnation {
  /** Absent in rooms that version 0.1 made, and in their values. */
  of?: string;
}

/** What the deletion of a room needs to know of its record. */
export interface DeletableRecord {
  owner: string;
  /** The room is being deleted: nobody has a role in it, and its access does not change any more. */
  deleting?: true;
}

/** Whether a value, which may be as version 0.1 wrote it, was stored for this very room. */
export function belongs<T>({ id }: { id?: string }, value: T | null): value is T {
  return value !== null && (value as Incarnation).of === id;
}

/** -> the room's record; also the prefix of all that is below. */
export const recordKey = (room: string): Deno.KvKey => ["access", room];
export const recordsPrefix: Deno.KvKey = ["access"];

/** -> the role of a member; without a DID, the prefix of all. */
export const memberKey = (room: string, ...did: string[]): Deno.KvKey => [
  "access",
  room,
  "member",
  ...did,
];

/** -> a DID that is banned; without one, the prefix of all. */
export const banKey = (
  room: string,
  ...did: string[]
): Deno.KvKey => ["access", room, "ban", ...did];

/** -> an invite; without an id, the prefix of all. */
export const inviteKey = (room: string, ...id: string[]): Deno.KvKey => [
  "access",
  room,
  "invite",
  ...id,
];

/** -> for whom older invites do nothing any more. */
export const removalsKey = (room: string): Deno.KvKey => ["access", room, "removals"];

/** -> an event, by its number; without one, the prefix of all. */
export const eventKey = (room: string, ...n: number[]): Deno.KvKey => [
  "access",
  room,
  "event",
  ...n,
];

/** -> the role of a DID in a room that it owns or has joined; without a room, the prefix of all. */
export const roomsOfKey = (
  did: string,
  ...room: string[]
): Deno.KvKey => ["rooms of", did, ...room];

/** -> a room that a DID may join or own, if it accepts; without a room, the prefix of all. */
export const pendingKey = (did: string, ...room: string[]): Deno.KvKey => [
  "rooms pending",
  did,
  ...room,
];

/** -> how many rooms a DID owns. */
export const ownedKey = (did: string): Deno.KvKey => ["rooms owned", did];
