/**
 * What an app imports to keep Yjs documents in sync with a Tessera service.
 *
 * @module
 */
export { ProviderError } from "./failure.ts";
export type { Peer } from "./peers.ts";
export {
  type ProviderEvent,
  type ProviderListeners,
  type ProviderOptions,
  type Status,
  TesseraProvider,
} from "./provider.ts";
export {
  type AgentLike,
  type AgentRequest,
  devToken,
  type GetTicket,
  type Role,
  serviceAuth,
  type ServiceNames,
  type Ticket,
  type TicketRequest,
  viaProxy,
  withoutToken,
  withToken,
} from "./tickets.ts";
export { type Sign, thisWorld, type World } from "./world.ts";
