import { isValidDid, isValidNsid } from "@atproto/syntax";
import type { LogLevel } from "@logtape/logtape";
import { isIP } from "node:net";
import { z } from "zod";
import type { LibraryTimes } from "./access/grant_library.ts";
import type { RoomCreation } from "./access/members.ts";
import type { NsidPrefix } from "./http/parts.ts";
import { DEFAULT_LIMITS, type Limits } from "./limits/limits.ts";
import { DEFAULT_PROXY_HEADER, Proxies } from "./limits/proxies.ts";
import type { LogFormat } from "./observe/logging.ts";
import { DEFAULT_KV_PATH } from "./store/kv/open_kv.ts";
import type { PresenceRules } from "./sync/room_presence.ts";

/** What the environment says. Durations are in milliseconds. */
export interface Config {
  port: number;
  hostname: string;
  /** Threads that serve. */
  workers: number;
  /** Null where it follows from the port, which is known only once the service listens. */
  publicUrl: string | null;
  /** Null where it follows from the public URL. */
  serviceDid: string | null;
  serviceId: string;
  nsidPrefix: NsidPrefix;
  /** Deno Deploy runs it. */
  onDeploy: boolean;
  /** Null for the platform's own KV. */
  kvPath: string | null;
  plcUrl: string;
  corsOrigins: "*" | string[];
  devToken: string | null;
  allowLocalDids: boolean;
  policy: "open" | "members" | "records";
  listTimes: LibraryTimes;
  roomCreation: RoomCreation;
  maxSession: number;
  accessRecheck: number;
  roomLinger: number;
  shutdownTimeout: number;
  presence: PresenceRules;
  jwtMaxLifetime: number;
  didCacheTimes: { fresh: number; stale: number; max: number; negative: number };
  limits: Limits;
  trustedProxies: string[];
  proxyHeader: string;
  /** Null where nobody may see the metrics at the service's own address. */
  metricsToken: string | null;
  /** Null where they have no address of their own. */
  metricsPort: number | null;
  logLevel: LogLevel;
  logFormat: LogFormat;
}

/** Settings that cannot be used. The message has a line for each mistake. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  constructor(readonly mistakes: string[]) {
    super(mistakes.join("\n"));
  }
}

/** Where the process runs, as far as defaults depend on it. */
export interface Surroundings {
  /** Somebody reads along. */
  terminal: boolean;
  /** Deno Deploy has no disk, but a KV of its own. */
  onDeploy: boolean;
  /** Bytes of memory that the process may have. Default: nobody says. */
  memory?: number;
}

/** Settings whose values are nobody's business. */
const SECRETS = new Set(["UNSAFE_DEV_TOKEN", "METRICS_TOKEN", "DENO_KV_ACCESS_TOKEN"]);

/** A URL may hold a password: it is shown without. */
const withoutPassword = (text: string) => text.replace(/\/\/[^/@]*@/, "//***@");

/**
 * Reads the settings from the environment. A variable that is empty counts as unset.
 * @throws {ConfigError} naming every mistake at once
 */
export function readConfig(
  env: Record<string, string>,
  { terminal, onDeploy, memory = Infinity }: Surroundings,
): Config {
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ""));
  const { data, error } = schema.safeParse(given);
  if (error) {
    throw new ConfigError(error.issues.map(({ path, message }) => {
      const name = String(path[0]);
      if (SECRETS.has(name)) return `${name} ${message}`;
      return `${name} ${message}; it is ${JSON.stringify(withoutPassword(given[name] ?? ""))}`;
    }));
  }
  const kvPath = data.KV_PATH ?? (data.DATA_DIR && `${data.DATA_DIR}/tessera.sqlite3`);
  return {
    port: data.PORT,
    // A development token makes anyone who knows it anybody: nobody else is to hear of it by default.
    hostname: data.HOST ?? (data.UNSAFE_DEV_TOKEN === undefined ? "0.0.0.0" : "127.0.0.1"),
    workers: data.WORKERS,
    publicUrl: data.PUBLIC_URL ?? null,
    serviceDid: data.SERVICE_DID ?? data.DID ?? null,
    serviceId: data.SERVICE_ID,
    nsidPrefix: data.NSID_PREFIX as NsidPrefix,
    onDeploy,
    kvPath: kvPath ?? (onDeploy ? null : DEFAULT_KV_PATH),
    plcUrl: data.PLC_URL,
    corsOrigins: data.CORS_ORIGINS,
    devToken: data.UNSAFE_DEV_TOKEN ?? null,
    allowLocalDids: data.UNSAFE_ALLOW_LOCAL_DIDS,
    policy: data.ACCESS_POLICY,
    listTimes: { refresh: data.LIST_REFRESH, max: data.LIST_MAX_AGE },
    roomCreation: data.ROOM_CREATION,
    maxSession: data.MAX_SESSION,
    accessRecheck: data.ACCESS_RECHECK,
    roomLinger: data.ROOM_LINGER,
    shutdownTimeout: data.SHUTDOWN_TIMEOUT,
    presence: {
      maxState: data.PRESENCE_MAX_STATE,
      maxRate: data.PRESENCE_RATE,
      ofReaders: data.PRESENCE_OF_READERS,
    },
    jwtMaxLifetime: data.JWT_MAX_LIFETIME,
    didCacheTimes: {
      fresh: data.DID_CACHE_FRESH,
      stale: data.DID_CACHE_STALE,
      max: data.DID_CACHE_MAX,
      negative: data.DID_CACHE_NEGATIVE,
    },
    limits: {
      connections: data.MAX_CONNECTIONS,
      connectionsPerDid: data.MAX_CONNECTIONS_PER_DID,
      connectionsPerAddress: data.MAX_CONNECTIONS_PER_ADDRESS,
      connectionsPerRoom: data.MAX_CONNECTIONS_PER_ROOM,
      requestsPerAddress: data.REQUESTS_PER_ADDRESS,
      callsPerDid: data.CALLS_PER_DID,
      httpConnections: data.MAX_HTTP_CONNECTIONS,
      httpConnectionsPerAddress: data.MAX_HTTP_CONNECTIONS_PER_ADDRESS,
      requests: data.MAX_REQUESTS,
      requestsAtOncePerAddress: data.MAX_REQUESTS_PER_ADDRESS,
      verifications: data.MAX_VERIFICATIONS,
      lookupsPerAddress: data.MAX_LOOKUPS_PER_ADDRESS,
      lookupsPerDomain: data.MAX_LOOKUPS_PER_DOMAIN,
      listReadsPerAddress: data.MAX_LIST_READS_PER_ADDRESS,
      listReadsPerDomain: data.MAX_LIST_READS_PER_DOMAIN,
      joinDeadline: data.JOIN_DEADLINE,
      pingTimeout: data.PING_TIMEOUT,
      messageBytes: data.MAX_MESSAGE,
      presenceBytes: data.MAX_PRESENCE_MESSAGE,
      probeBytes: data.MAX_PROBE,
      largeMessagesPerDid: data.MAX_LARGE_MESSAGES_PER_DID,
      messagesPerSecond: data.MESSAGES_PER_SECOND,
      bytesPerSecond: data.BYTES_PER_SECOND,
      heldBytes: data.MAX_HELD,
      unsentBytesPerDid: data.MAX_UNSENT_PER_DID,
      documentBytes: data.MAX_DOCUMENT,
      documentClients: data.MAX_DOCUMENT_CLIENTS,
      documentMemory: data.MAX_DOCUMENT_MEMORY,
      rooms: data.MAX_ROOMS,
      eventLoopLag: data.MAX_EVENT_LOOP_LAG,
      memoryBytes: data.MAX_MEMORY ?? Math.floor(memory * MEMORY_SHARE),
      members: data.MAX_MEMBERS,
      bans: data.MAX_BANS,
      roomsPerDid: data.MAX_ROOMS_PER_DID,
      pendingRooms: data.MAX_PENDING_ROOMS,
    },
    trustedProxies: data.TRUSTED_PROXIES,
    proxyHeader: data.PROXY_HEADER,
    metricsToken: data.METRICS_TOKEN ?? null,
    metricsPort: data.METRICS_PORT ?? null,
    logLevel: data.LOG_LEVEL,
    logFormat: data.LOG_FORMAT ?? (terminal ? "pretty" : "json"),
  };
}

/** RFC 7230's token characters: what may stand in `Sec-WebSocket-Protocol`. */
const TOKEN = /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/;

const wholeNumber = (min: number, max: number) =>
  z.string().regex(/^\d{1,15}$/, `must be a whole number from ${min} to ${max}`).transform(Number)
    .refine((n) => n >= min && n <= max, `must be a whole number from ${min} to ${max}`);

const UNITS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

const duration = z.string()
  .regex(/^\d{1,9}(ms|s|m|h|d)$/, "must be a duration such as 500ms, 30s, 5m, 12h or 1d")
  .transform((text) => parseInt(text) * UNITS[text.replace(/\d+/, "") as keyof typeof UNITS]);

const BYTES = { "": 1, KiB: 1_024, MiB: 1_024 ** 2, GiB: 1_024 ** 3 };

const size = z.string()
  .regex(/^[1-9]\d{0,11}(KiB|MiB|GiB)?$/, "must be a number of bytes such as 64KiB, 8MiB or 100000")
  .transform((text) => parseInt(text) * BYTES[text.replace(/\d+/, "") as keyof typeof BYTES]);

const limit = (name: keyof Limits) => wholeNumber(1, 1e12).default(DEFAULT_LIMITS[name]);

const addresses = z.string().transform((text) => text.split(",").map((each) => each.trim()))
  .refine((all) => {
    try {
      return new Proxies(all) !== null;
    } catch {
      return false;
    }
  }, "must be a comma-separated list of addresses and ranges, such as 10.0.0.0/8");

const switched = z.enum(["true", "false", "1", "0"], "must be true or false")
  .transform((text) => text === "true" || text === "1");

const did = z.string()
  .refine(
    (text) => isValidDid(text) && /^did:(web|plc):/.test(text),
    "must be a did:web or a did:plc",
  );

const httpUrl = z.string().refine(isHttpUrl, "must be an http(s) URL");

const publicUrl = z.string().superRefine((text, context) => {
  const origin = originOf(text);
  if (origin === null) {
    context.addIssue("must be an http(s) origin, such as https://sync.example.com");
  } else if (!origin.startsWith("https:") && !isLocal(origin)) {
    context.addIssue("must be https outside localhost");
  }
}).transform((text) => originOf(text)!);

const corsOrigins = z.string().transform((text) =>
  text.trim() === "*" ? "*" : text.split(",").map((origin) => origin.trim())
).refine(
  (origins) => origins === "*" || origins.every((origin) => originOf(origin) === origin),
  "must be * or a comma-separated list of origins, such as https://app.example.com",
);

const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;

/** Rules between settings are looked at even where a setting by itself is wrong: one round is enough. */
const always = () => true;

/** Of the memory that a container has, so much may be in use before no further room is opened. */
const MEMORY_SHARE = 0.85;

/** A timer of more than 2^31 ms, 24.8 days, goes off at once. */
const LONGEST_TIMER = 24 * 24 * 60 * 60_000;

const schema = z.object({
  PORT: wholeNumber(0, 65_535).default(8000),
  HOST: z.string()
    .refine(
      isHost,
      "must be an address or a name of this machine, such as 127.0.0.1, :: or localhost",
    )
    .optional(),
  WORKERS: wholeNumber(1, 64).default(1),
  PUBLIC_URL: publicUrl.optional(),
  SERVICE_DID: did.optional(),
  DID: did.optional(),
  SERVICE_ID: z.string().regex(/^[A-Za-z0-9._~-]+$/, "must be a fragment without #, such as sync")
    .default("roomy_syncserver"),
  NSID_PREFIX: z.string()
    .refine(
      (text) => isValidNsid(`${text}.getTicket`),
      "must be the beginning of an NSID, such as com.example.sync",
    )
    .default("chat.roomy.v0.sync"),
  KV_PATH: z.string()
    .refine(
      (text) => !/^https?:\/\/[^/]*@/.test(text),
      "must not hold a user name or a password: the token of a KV server is DENO_KV_ACCESS_TOKEN",
    )
    .optional(),
  DENO_KV_ACCESS_TOKEN: z.string().optional(),
  DATA_DIR: z.string().optional(),
  PLC_URL: httpUrl.default("https://plc.directory"),
  CORS_ORIGINS: corsOrigins.default("*"),
  UNSAFE_DEV_TOKEN: z.string()
    .regex(TOKEN, "must consist of letters, digits and -._~ so that it can be a sub-protocol")
    .optional(),
  UNSAFE_DEV_TOKEN_IN_PUBLIC: switched.default(false),
  UNSAFE_ALLOW_LOCAL_DIDS: switched.default(false),
  ACCESS_POLICY: z.enum(["open", "members", "records"], "must be open, members or records")
    .default("members"),
  ROOM_CREATION: z.enum(["anyone", "did-only", "nobody"], "must be anyone, did-only or nobody")
    .default("anyone"),
  LIST_REFRESH: duration.default(2_000)
    .refine((ms) => ms >= 500 && ms <= LONGEST_TIMER, "must be from 500ms to 24d"),
  LIST_MAX_AGE: duration.default(10 * 60_000),
  MAX_SESSION: duration.default(12 * 60 * 60_000)
    .refine((ms) => ms >= 1_000 && ms <= LONGEST_TIMER, "must be from 1s to 24d"),
  ACCESS_RECHECK: duration.default(10 * 60_000)
    .refine((ms) => ms >= 60_000 && ms <= LONGEST_TIMER, "must be from 1m to 24d"),
  ROOM_LINGER: duration.default(60_000),
  SHUTDOWN_TIMEOUT: duration.default(5_000)
    .refine((ms) => ms >= 2_000 && ms <= 600_000, "must be from 2s to 10m"),
  PRESENCE_MAX_STATE: size.default(4_096)
    .refine((bytes) => bytes >= 64 && bytes <= 48 * 1024, "must be from 64 to 48KiB"),
  PRESENCE_RATE: wholeNumber(1, 1_000).default(30),
  PRESENCE_OF_READERS: switched.default(true),
  JWT_MAX_LIFETIME: duration.default(5 * 60_000),
  DID_CACHE_FRESH: duration.default(5 * 60_000),
  DID_CACHE_STALE: duration.default(60 * 60_000),
  DID_CACHE_MAX: duration.default(24 * 60 * 60_000),
  DID_CACHE_NEGATIVE: duration.default(60_000),
  MAX_CONNECTIONS: limit("connections"),
  MAX_CONNECTIONS_PER_DID: limit("connectionsPerDid"),
  MAX_CONNECTIONS_PER_ADDRESS: limit("connectionsPerAddress"),
  MAX_CONNECTIONS_PER_ROOM: limit("connectionsPerRoom"),
  REQUESTS_PER_ADDRESS: limit("requestsPerAddress"),
  CALLS_PER_DID: limit("callsPerDid"),
  MAX_HTTP_CONNECTIONS: limit("httpConnections"),
  MAX_HTTP_CONNECTIONS_PER_ADDRESS: limit("httpConnectionsPerAddress"),
  MAX_REQUESTS: limit("requests"),
  MAX_REQUESTS_PER_ADDRESS: limit("requestsAtOncePerAddress"),
  MAX_VERIFICATIONS: limit("verifications"),
  MAX_LOOKUPS_PER_ADDRESS: limit("lookupsPerAddress"),
  MAX_LOOKUPS_PER_DOMAIN: limit("lookupsPerDomain"),
  MAX_LIST_READS_PER_ADDRESS: limit("listReadsPerAddress"),
  MAX_LIST_READS_PER_DOMAIN: limit("listReadsPerDomain"),
  JOIN_DEADLINE: duration.default(DEFAULT_LIMITS.joinDeadline)
    .refine((ms) => ms >= 1_000 && ms <= LONGEST_TIMER, "must be from 1s to 24d"),
  PING_TIMEOUT: duration.default(DEFAULT_LIMITS.pingTimeout)
    .refine((ms) => ms >= 2_000 && ms <= LONGEST_TIMER, "must be from 2s to 24d"),
  MAX_MESSAGE: size.default(DEFAULT_LIMITS.messageBytes),
  MAX_PRESENCE_MESSAGE: size.default(DEFAULT_LIMITS.presenceBytes),
  MAX_PROBE: size.default(DEFAULT_LIMITS.probeBytes),
  MAX_LARGE_MESSAGES_PER_DID: limit("largeMessagesPerDid"),
  MESSAGES_PER_SECOND: limit("messagesPerSecond"),
  BYTES_PER_SECOND: size.default(DEFAULT_LIMITS.bytesPerSecond),
  MAX_HELD: size.default(DEFAULT_LIMITS.heldBytes),
  MAX_UNSENT_PER_DID: size.default(DEFAULT_LIMITS.unsentBytesPerDid),
  MAX_DOCUMENT: size.default(DEFAULT_LIMITS.documentBytes),
  MAX_DOCUMENT_CLIENTS: limit("documentClients"),
  MAX_DOCUMENT_MEMORY: size.default(DEFAULT_LIMITS.documentMemory),
  MAX_ROOMS: limit("rooms"),
  MAX_MEMORY: size.optional(),
  MAX_EVENT_LOOP_LAG: duration.default(DEFAULT_LIMITS.eventLoopLag)
    .refine((ms) => ms >= 100 && ms <= 60_000, "must be from 100ms to 1m"),
  MAX_MEMBERS: limit("members"),
  MAX_BANS: limit("bans"),
  MAX_ROOMS_PER_DID: limit("roomsPerDid"),
  MAX_PENDING_ROOMS: limit("pendingRooms"),
  TRUSTED_PROXIES: addresses.default([]),
  PROXY_HEADER: z.string()
    .regex(/^[A-Za-z][A-Za-z0-9-]*$/, "must be the name of a header, such as X-Forwarded-For")
    .default(DEFAULT_PROXY_HEADER),
  METRICS_TOKEN: z.string().regex(/^\S{16,}$/, "must have 16 characters or more, and no spaces")
    .optional(),
  METRICS_PORT: wholeNumber(0, 65_535).optional(),
  LOG_LEVEL: z.enum(LOG_LEVELS, `must be one of ${LOG_LEVELS.join(", ")}`).default("info")
    .transform((level): LogLevel => level === "warn" ? "warning" : level),
  LOG_FORMAT: z.enum(["pretty", "json"], "must be pretty or json").optional(),
})
  .refine(({ DID, SERVICE_DID }) => !DID || !SERVICE_DID || DID === SERVICE_DID, {
    path: ["DID"],
    message: "is another name for SERVICE_DID and must not differ from it",
    when: always,
  })
  .refine(({ KV_PATH, DATA_DIR }) => !KV_PATH || !DATA_DIR, {
    path: ["DATA_DIR"],
    message: "cannot be set together with KV_PATH",
    when: always,
  })
  .refine(
    ({ KV_PATH, DENO_KV_ACCESS_TOKEN }) =>
      !/^https?:/.test(KV_PATH ?? "") || DENO_KV_ACCESS_TOKEN !== undefined,
    {
      path: ["KV_PATH"],
      message: "is the URL of a KV server, which needs DENO_KV_ACCESS_TOKEN",
      when: always,
    },
  )
  .refine(({ PORT, METRICS_PORT }) => METRICS_PORT !== PORT || PORT === 0, {
    path: ["METRICS_PORT"],
    message: "must be another port than PORT",
    when: always,
  })
  .refine(
    ({ UNSAFE_DEV_TOKEN, UNSAFE_DEV_TOKEN_IN_PUBLIC, PUBLIC_URL, HOST }) =>
      UNSAFE_DEV_TOKEN === undefined || UNSAFE_DEV_TOKEN_IN_PUBLIC === true ||
      !PUBLIC_URL?.startsWith("https:") && (HOST === undefined || isLoopback(HOST)),
    {
      path: ["UNSAFE_DEV_TOKEN"],
      message:
        "lets anyone who knows it act as anybody. With an https PUBLIC_URL, or a HOST that " +
        "others can reach, it also needs UNSAFE_DEV_TOKEN_IN_PUBLIC=true",
      when: always,
    },
  )
  .refine(({ METRICS_TOKEN, WORKERS }) => METRICS_TOKEN === undefined || !(WORKERS > 1), {
    path: ["METRICS_TOKEN"],
    message: "shows one worker, of several: set METRICS_PORT, which adds them up",
    when: always,
  })
  .refine(({ KV_PATH, WORKERS }) => KV_PATH !== ":memory:" || !(WORKERS > 1), {
    path: ["WORKERS"],
    message: "cannot share a store in memory",
    when: always,
  })
  .refine(({ MAX_HELD, MAX_MESSAGE }) => !(MAX_HELD < MAX_MESSAGE), {
    path: ["MAX_HELD"],
    message: "must not be less than MAX_MESSAGE",
    when: always,
  })
  .refine(({ LIST_REFRESH, LIST_MAX_AGE }) => !(LIST_REFRESH > LIST_MAX_AGE), {
    path: ["LIST_REFRESH"],
    message: "must not be longer than LIST_MAX_AGE",
    when: always,
  })
  .refine(({ DID_CACHE_FRESH, DID_CACHE_STALE }) => !(DID_CACHE_FRESH > DID_CACHE_STALE), {
    path: ["DID_CACHE_FRESH"],
    message: "must not be longer than DID_CACHE_STALE",
    when: always,
  })
  .refine(({ DID_CACHE_STALE, DID_CACHE_MAX }) => !(DID_CACHE_STALE > DID_CACHE_MAX), {
    path: ["DID_CACHE_STALE"],
    message: "must not be longer than DID_CACHE_MAX",
    when: always,
  });

/** The names of all settings. */
export const SETTINGS: string[] = Object.keys(schema.shape);

function isHttpUrl(text: string): boolean {
  return URL.canParse(text) && /^https?:$/.test(new URL(text).protocol);
}

/** The origin that the text is, give or take a slash at its end; null when it is none. */
function originOf(text: string): string | null {
  if (!isHttpUrl(text)) return null;
  const { origin, href } = new URL(text);
  return href === `${origin}/` ? origin : null;
}

function isLocal(text: string): boolean {
  return isLoopback(new URL(text).hostname.replace(/^\[|\]$/g, ""));
}

/** Whether only this machine can reach an address. */
function isLoopback(host: string): boolean {
  return /(^|\.)localhost$/.test(host) || host === "::1" || /^127(\.\d+){3}$/.test(host);
}

/** An IP address, or a host name (https://www.rfc-editor.org/rfc/rfc1123#section-2.1). */
function isHost(text: string): boolean {
  if (isIP(text) !== 0) return true;
  return /^(?!.*\.\d+\.?$)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$/
    .test(text) && !/^\d+$/.test(text);
}
