import { getLogger } from "@logtape/logtape";
import { GrantLibrary, type LibraryTimes } from "./access/grant_library.ts";
import type { RoomCreation } from "./access/members.ts";
import { type AccessPolicy, openPolicy } from "./access/policy.ts";
import { RecordPolicy } from "./access/record_policy.ts";
import { RoomAdmin } from "./access/room_admin.ts";
import { type AtprotoOptions, byDocuments, didDocuments } from "./auth/atproto.ts";
import type { Authenticator } from "./auth/authenticator.ts";
import { devToken } from "./auth/dev_token.ts";
import { Tickets } from "./auth/tickets.ts";
import { type Clock, systemClock } from "./clock.ts";
import type { DidDocuments } from "./did/did_documents.ts";
import { Admission } from "./http/admission.ts";
import { exchange } from "./http/exchange.ts";
import type { Face, Parts } from "./http/parts.ts";
import { createRoutes } from "./http/routes.ts";
import { DEFAULT_LIMITS, type Limits } from "./limits/limits.ts";
import { Overload } from "./limits/overload.ts";
import { Proxies } from "./limits/proxies.ts";
import { RateLimit } from "./limits/rate_limit.ts";
import type { Metrics } from "./observe/metrics.ts";
import { Tally } from "./observe/tally.ts";
import { Repos } from "./repo/repos.ts";
import { Connections } from "./socket/connections.ts";
import { Breaker, guardedKv } from "./store/kv/breaker.ts";
import { KvRoomStore } from "./store/kv/kv_room_store.ts";
import { DEFAULT_KV_PATH, isFile, openKv } from "./store/kv/open_kv.ts";
import { watchSameFile } from "./store/kv/same_file.ts";
import type { PresenceRules } from "./sync/room_presence.ts";
import { Rooms } from "./sync/rooms.ts";
import { denoTransport, type IncomingRequest, type Transport } from "./transport/transport.ts";

const logger = getLogger(["tessera"]);

/** How long a room stays in memory after its last peer, in ms: a page that reloads finds it warm. */
const ROOM_LINGER = 60_000;

/**
 * A cursor, a name and a colour are some 300 bytes, and 4 KiB a hundred times what a line of text says
 * of itself. Thirty a second are what a screen shows of a pointer: more would only be sent to everyone.
 */
const PRESENCE: PresenceRules = { maxState: 4_096, maxRate: 30, ofReaders: true };

/**
 * Whether a repository has changed is a small question, and those in a room wait for its owner's word.
 * A PDS that restarts takes a minute or two; who was taken off a list stays for no longer than this.
 */
const LIST_TIMES: LibraryTimes = { refresh: 2_000, max: 10 * 60_000 };

/** A working day and a bit, in ms: whoever leaves a page open has proven who they are since. */
const MAX_SESSION = 12 * 60 * 60_000;

/** A deleted account is no emergency, and a look at everybody costs a read each. In ms. */
const ACCESS_RECHECK = 10 * 60_000;

/** A shutdown must be over within the 5 s that Deno Deploy gives, in ms. */
const SHUTDOWN_TIMEOUT = 5_000;

/**
 * How much of that is left for the last words of connections and of the process, in ms: the store has
 * until then to take what has arrived, and clients to say goodbye.
 */
const FOR_COMMITS = 1_500;
const FOR_GOODBYES = 750;

/** Clients that come back to other instances are dealt out, in ms each, over no more than this share of it all. */
const DRAIN_EACH = 0.2;
const DRAIN_SHARE = 0.4;

/** How a sync service is set up. Durations are in milliseconds. */
export interface SyncServiceConfig
  extends Partial<Face>, Omit<AtprotoOptions, "kv" | "clock" | "limits" | keyof Face> {
  /** The origin that clients see: https outside localhost. */
  publicUrl: string;
  /**
   * Where everything is stored: a KV store of yours, which stays open after `shutdown`; a file;
   * `:memory:`; the URL of a KV server; or null for Deno Deploy's own. Default: `./data/tessera.sqlite3`.
   */
  kv?: Deno.Kv | string | null;
  /** Who may call. Default: whoever proves to be an ATProto account. */
  auth?: Authenticator;
  /**
   * What they may do: `members`, each room has an owner, who says so; `records`, its owner's repository
   * does; `open`, everyone may write everywhere; or a policy of yours. Default: `members`.
   */
  policy?: "members" | "records" | "open" | AccessPolicy;
  /** With `records`: how soon a change is noticed, and for how long what was read may stand in. Default: 2 s; 10 min. */
  listTimes?: LibraryTimes;
  /** With `members`: who may bring rooms into being. Default: `anyone`. */
  roomCreation?: RoomCreation;
  /** Development only: one bearer token that stands for any DID that a request names. */
  devToken?: string | null;
  /** How much of everything there may be. Default: {@linkcode DEFAULT_LIMITS}. */
  limits?: Partial<Limits>;
  /** Addresses and ranges of proxies that are believed when they say for whom they ask. Default: none. */
  trustedProxies?: string[];
  /** The header in which they say so. Default: `X-Forwarded-For`. */
  proxyHeader?: string;
  /** How long a socket may stay open: then 4401, and its client comes back with a new ticket. Default: 12 h. */
  maxSession?: number;
  /** How often the role of everybody, and that their account is still there, is looked at. Default: 10 min. */
  accessRecheck?: number;
  /** How long a room stays in memory after its last peer. Default: 60,000. */
  roomLinger?: number;
  /** What may be said of presence. Default: 4,096 bytes a client, 30 times a second, also by readers. */
  presence?: Partial<PresenceRules>;
  /** How long a shutdown may take in all. Default: 5,000. */
  shutdownTimeout?: number;
  /** Whoever has it may see `/metrics`. Default: nobody. */
  metricsToken?: string | null;
  clock?: Clock;
}

/** A running sync service. */
export interface SyncService {
  /** The handler for `Deno.serve`. */
  fetch(request: Request, info?: Deno.ServeHandlerInfo): Promise<Response>;
  /** Answers a request of another listener, which may bring WebSockets of its own. */
  handle(request: IncomingRequest, transport: Transport): Promise<Response>;
  /** Who the service is. */
  readonly face: Face;
  /** Resolves once the store is open. @throws {StoreUnavailableError} */
  ready: Promise<void>;
  /** Loads ahead of time what the first caller would otherwise wait for. */
  warm(): Promise<void>;
  /** What it tells of itself, for Prometheus. How long things take is measured from the first call on, or from `warm`. */
  metrics(): Promise<Metrics>;
  /** Takes nothing new, commits what has arrived, and closes all sockets; within `shutdownTimeout`. */
  shutdown(): Promise<void>;
}

/**
 * Creates a sync service.
 *
 * ```ts ignore
 * import { createSyncService } from "@tessera/sync";
 *
 * const service = createSyncService({ publicUrl: "https://sync.example.com" });
 * Deno.serve(service.fetch);
 * ```
 */
export function createSyncService(config: SyncServiceConfig): SyncService {
  const face = faceOf(config);
  const proxies = new Proxies(config.trustedProxies ?? [], config.proxyHeader);
  const starting = start(config, face);
  const ready = starting.then(() => {});
  ready.catch(() => {}); // told to whoever awaits `ready`, and to whoever fetches
  let stopping: Promise<void> | null = null;
  return {
    face,
    ready,
    async fetch(request, info) {
      const { answer, clock, pingTimeout } = await starting;
      const transport = denoTransport(request, info, { clock, pingTimeout });
      return await answer(exchange(request, transport, proxies));
    },
    async handle(request, transport) {
      const { answer } = await starting;
      return await answer(exchange(request, transport, proxies));
    },
    warm: async () => await (await starting).warm(),
    metrics: async () => await (await starting).metrics(),
    shutdown: () => stopping ??= starting.then(({ stop }) => stop()),
  };
}

/** What is needed to deal with the world outside. */
type Outside = AtprotoOptions & Face;

/** Puts the parts together. */
async function start(config: SyncServiceConfig, face: Face) {
  const { clock = systemClock, kv: given = DEFAULT_KV_PATH } = config;
  const opened = given === null || typeof given === "string" ? await openKv(given) : given;
  const tally = new Tally();
  const breaker = new Breaker(clock, tally.storeFaults);
  const stopWatching = isFile(given)
    ? await watchSameFile(given, clock, () => breaker.noteLoss())
    : () => {};
  const kv = guardedKv(opened, breaker);
  const store = new KvRoomStore(kv, clock, breaker);
  await store.join();
  const limits = { ...DEFAULT_LIMITS, ...config.limits };
  const rooms = new Rooms({
    store,
    clock,
    limits,
    tally,
    linger: config.roomLinger ?? ROOM_LINGER,
    presence: { ...PRESENCE, ...config.presence },
  });
  const outside: Outside = { ...config, ...face, kv, clock };
  const documents = didDocuments(outside, tally);
  const { policy, admin } = accessOf(config, { kv, clock, store, rooms, documents, limits, face });
  const authenticator = authenticatorOf(config, documents, outside);
  const connections = new Connections({
    rooms,
    roles: {
      policy,
      isGone: authenticator.isGone,
      recheck: config.accessRecheck ?? ACCESS_RECHECK,
    },
    clock,
    limits,
    tally,
    maxSession: config.maxSession ?? MAX_SESSION,
  });
  const overload = new Overload({
    clock,
    limits,
    tally,
    memory: () => Deno.memoryUsage().rss,
    evictIdleRooms: () => rooms.evictIdle(),
    endMostExpensive: () => connections.endMostExpensive(),
  });
  const census = () => ({
    connections: connections.size,
    rooms: rooms.size,
    storeIsDown: breaker.fault !== null,
    ...rooms.load,
  });
  let loading: Promise<Metrics> | undefined;
  // Lazy: it costs a cold start a fifth, and who embeds the service may not want it.
  const metrics = () =>
    loading ??= import("./observe/metrics.ts")
      .then(({ Metrics }) => new Metrics(tally, census, clock));
  const parts: Parts = {
    face,
    authenticator,
    tickets: new Tickets(kv, clock),
    policy,
    admin,
    rooms,
    connections,
    store,
    clock,
    stopping: false,
    tally,
    metrics,
    metricsToken: config.metricsToken ?? null,
    overload,
    admission: new Admission(limits, clock),
    rates: {
      handshakesPerDid: new RateLimit("callsPerDid", limits.callsPerDid, clock),
    },
  };

  return {
    answer: createRoutes(parts),
    clock,
    pingTimeout: limits.pingTimeout,
    metrics,
    async warm() {
      await metrics();
      await parts.authenticator.warm?.();
    },
    async stop() {
      parts.stopping = true;
      const timeout = config.shutdownTimeout ?? SHUTDOWN_TIMEOUT;
      const deadline = clock.uptime() + timeout - FOR_GOODBYES;
      const drain = Math.min(connections.size * DRAIN_EACH, timeout * DRAIN_SHARE);
      await rooms.shutDown(timeout - FOR_COMMITS, drain);
      await parts.connections.allClosed(deadline - clock.uptime());
      overload.stop();
      (await loading)?.stop();
      await store.close();
      stopWatching();
      if (opened !== given) opened.close();
      logger.info("stopped");
    },
  };
}

function faceOf(config: SyncServiceConfig): Face {
  const { publicUrl, serviceDid } = config;
  return {
    publicUrl,
    serviceDid: serviceDid ?? `did:web:${encodeURIComponent(new URL(publicUrl).host)}`,
    serviceId: config.serviceId ?? "roomy_syncserver",
    nsidPrefix: config.nsidPrefix ?? "chat.roomy.v0.sync",
    corsOrigins: config.corsOrigins ?? "*",
  };
}

/** Who may do what, and what owners do about it where they do it here. */
function accessOf(
  config: SyncServiceConfig,
  { kv, clock, store, rooms, documents, limits, face }: {
    kv: Deno.Kv;
    clock: Clock;
    store: KvRoomStore;
    rooms: Rooms;
    documents: DidDocuments;
    limits: Limits;
    face: Face;
  },
): Pick<Parts, "policy" | "admin"> {
  const { policy = "members", roomCreation: creation, allowLocalDids = false } = config;
  if (policy === "open") return { policy: openPolicy, admin: null };
  if (policy === "members") {
    const evict = (room: string) => rooms.closeDeleted(room);
    const admin = new RoomAdmin({ kv, store, clock, creation, limits, evict });
    return { policy: admin.members, admin };
  }
  if (policy !== "records") return { policy, admin: null };
  const repos = new Repos({ documents, clock, allowLocalDids });
  const collection = `${face.nsidPrefix}.grant`;
  const times = config.listTimes ?? LIST_TIMES;
  const library = new GrantLibrary({ repos, collection, clock, times, limits });
  return { policy: new RecordPolicy(library), admin: null };
}

function authenticatorOf(
  config: SyncServiceConfig,
  documents: DidDocuments,
  outside: Outside,
): Authenticator {
  const authenticator = config.auth ?? byDocuments(documents, outside);
  return config.devToken ? devToken(config.devToken, authenticator) : authenticator;
}
