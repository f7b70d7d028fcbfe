const MiB = 1024 * 1024;

/** How much of everything there may be. Counted for each process, unless it says otherwise. */
export interface Limits {
  /** Sockets that are open at once: in all, of one DID, from one address, in one room. */
  connections: number;
  connectionsPerDid: number;
  connectionsPerAddress: number;
  connectionsPerRoom: number;
  /** Connections to our own listener that are no WebSockets: in all, and from one address. */
  httpConnections: number;
  httpConnectionsPerAddress: number;
  /** Requests that are being answered at once: in all, and from one address. */
  requests: number;
  requestsAtOncePerAddress: number;
  /** Requests a minute from one address, whatever they ask for and however they are answered. */
  requestsPerAddress: number;
  /** Proven calls a minute of one DID, and as many handshakes. */
  callsPerDid: number;
  /** Tokens that are being verified at once. */
  verifications: number;
  /** DIDs that are being looked up at once: for callers of one address, and at hosts of one registrable domain. */
  lookupsPerAddress: number;
  lookupsPerDomain: number;
  /** Repositories that are read at once: for callers of one address, and at hosts of one registrable domain. */
  listReadsPerAddress: number;
  listReadsPerDomain: number;
  /** Milliseconds from the opening of a socket to its first message. */
  joinDeadline: number;
  /** Milliseconds in which a ping has to be answered. */
  pingTimeout: number;
  /** Bytes of one message; of one about presence; of a probe. */
  messageBytes: number;
  presenceBytes: number;
  probeBytes: number;
  /** Messages of more than 256 KiB that are arriving from one DID at once; the others are not read meanwhile. */
  largeMessagesPerDid: number;
  /** Messages and bytes a second from one connection, over some time: {@linkcode Inflow}. */
  messagesPerSecond: number;
  bytesPerSecond: number;
  /** Bytes that a room keeps on behalf of one connection: what it sent and waits, and what it is owed. */
  heldBytes: number;
  /** Bytes that wait to be sent over all connections of one DID; each may have 64 KiB in any case. */
  unsentBytesPerDid: number;
  /** Bytes of a room's document, as it is stored. */
  documentBytes: number;
  /** Yjs client ids that have written a document: each session that writes adds one, for ever. */
  documentClients: number;
  /** Bytes of memory that a document needs, about. */
  documentMemory: number;
  /** Rooms in memory. */
  rooms: number;
  /** Bytes of memory of the process, over which no further room is opened and the most expensive peers are closed. */
  memoryBytes: number;
  /** Milliseconds by which the event loop may be late, before new work is refused. */
  eventLoopLag: number;
  /** Members and bans of a room, and rooms that a DID owns; with `members`, in the store. */
  members: number;
  bans: number;
  roomsPerDid: number;
  /** Rooms that others have offered a DID, and that are listed for it. */
  pendingRooms: number;
}

export const DEFAULT_LIMITS: Limits = {
  // Some 40 KB each: 800 MB.
  connections: 20_000,
  // Every tab of every document of somebody with three devices.
  connectionsPerDid: 200,
  // An office behind one address.
  connectionsPerAddress: 2_000,
  // A keystroke goes to them all.
  connectionsPerRoom: 2_000,
  // 14 KB each: 140 MB. The one that has been idle for longest makes way.
  httpConnections: 10_000,
  // All sockets of an office that reconnect at once, and its pages: more than `connectionsPerAddress`.
  httpConnectionsPerAddress: 2_500,
  // Four seconds of a KV server's work, ten times that of a file's: who has waited for longer has given up.
  requests: 1_000,
  // A fifth of them: an office whose 500 people reconnect comes in three rounds, 5 s apart.
  requestsAtOncePerAddress: 200,
  // An office is hundreds of people behind one address; 100 calls a second cost 7 % of a core.
  requestsPerAddress: 6_000,
  // A browser with 20 documents that reconnect needs 20 at once; ten a second, every second, is a loop.
  callsPerDid: 600,
  // 0.15 ms each, and a look-up of 300 ms for who is new: 3,000 newcomers a second.
  verifications: 1_000,
  // Of 500: an office whose 500 people all are new is in after 3 s.
  lookupsPerAddress: 50,
  // A host that answers in 300 ms lets 33 new accounts a second in.
  lookupsPerDomain: 10,
  // Of 200. At 400 ms a read, an office opens rooms of 50 owners a second that nobody has opened before.
  listReadsPerAddress: 20,
  // Most accounts are at one hosting company: 125 of them a second.
  listReadsPerDomain: 50,
  // A phone that has got through the handshake has a line.
  joinDeadline: 10_000,
  // No answer gets past a message that is still arriving: the largest takes 70 KB/s for so long.
  pingTimeout: 120_000,
  // A chapter with all its history, pasted; what is larger comes in pieces.
  messageBytes: 8 * MiB,
  // A newcomer's client repeats to us who is there: 200 with 300 bytes each.
  presenceBytes: 64 * 1024,
  // A number in it is a few bytes; it is kept until all that was sent before it is durable.
  probeBytes: 64 * 1024,
  // 32 MiB; a file that is pasted arrives in a moment, and 200 connections would hold 1.6 GB.
  largeMessagesPerDid: 4,
  // y-websocket repeats what it hears: sixty pointers that move at 30 a second.
  messagesPerSecond: 2_000,
  // More than a phone's line takes, and a fast one in bursts of 64 MiB.
  bytesPerSecond: 4 * MiB,
  // Eight seconds of what one may send, for as long as a store may hiccup, or four of the largest messages.
  heldBytes: 32 * MiB,
  // Twenty documents that open at once over a slow line, and four of the largest messages.
  unsentBytesPerDid: 32 * MiB,
  // A client takes seconds to load it, and a busy room holds it twice.
  documentBytes: 64 * MiB,
  // Ten people who open it four times a day for two years. Each costs every keystroke 0.5 us, here and in browsers.
  documentClients: 20_000,
  // 350,000 pieces of text, or 50,000 elements with attributes; some bytes of a message need 300 of memory.
  documentMemory: 80 * MiB,
  // 9 KB for a small one.
  rooms: 10_000,
  // Nobody knows how much there is; `config.ts` asks the container.
  memoryBytes: Infinity,
  // Ten times what the worst legitimate load was measured to cause.
  eventLoopLag: 1_000,
  // Its owner reads them as one list; a community larger than this is public.
  members: 1_000,
  // Its owner reads them as one list, too; a room that bans more people should be private.
  bans: 1_000,
  // A large community with a room for every thread; a loop that makes rooms ends somewhere.
  roomsPerDid: 10_000,
  // A page of a list. What is listed no more is still open to whom it was offered.
  pendingRooms: 100,
};
