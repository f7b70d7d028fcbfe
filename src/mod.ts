/**
 * Tessera: a sync service for collaborative apps on the AT Protocol.
 *
 * @module
 */
export { createSyncService, type SyncService, type SyncServiceConfig } from "./service.ts";
export type { RoomCreation } from "./access/members.ts";
export { type AccessPolicy, openPolicy, type Role } from "./access/policy.ts";
export { atproto, type AtprotoOptions } from "./auth/atproto.ts";
export type { Authenticator, Call, Caller, Identity } from "./auth/authenticator.ts";
export type { DidCacheTimes } from "./did/did_cache.ts";
export { open } from "./auth/open.ts";
export { sharedToken } from "./auth/shared_token.ts";
export { verify } from "./auth/verify.ts";
export { type Clock, systemClock } from "./clock.ts";
export type { Face, NsidPrefix } from "./http/parts.ts";
export { Refusal, type RefusalOptions } from "./refusal.ts";
export { StoreUnavailableError } from "./store/kv/open_kv.ts";
