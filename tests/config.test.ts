import { assert, assertEquals, assertObjectMatch, assertThrows } from "@std/assert";
import { ConfigError, readConfig } from "../src/config.ts";
import { DEFAULT_LIMITS } from "../src/limits/limits.ts";
import { runToEnd } from "./outside/server_process.ts";

const AT_HOME = { terminal: false, onDeploy: false };

Deno.test("C1: with nothing set everything has its default", () => {
  assertEquals(readConfig({}, AT_HOME), {
    port: 8000,
    hostname: "0.0.0.0",
    workers: 1,
    publicUrl: null,
    serviceDid: null,
    serviceId: "roomy_syncserver",
    nsidPrefix: "chat.roomy.v0.sync",
    onDeploy: false,
    kvPath: "./data/tessera.sqlite3",
    plcUrl: "https://plc.directory",
    corsOrigins: "*",
    devToken: null,
    allowLocalDids: false,
    policy: "members",
    listTimes: { refresh: 2_000, max: 600_000 },
    roomCreation: "anyone",
    maxSession: 43_200_000,
    accessRecheck: 600_000,
    roomLinger: 60_000,
    shutdownTimeout: 5_000,
    presence: { maxState: 4_096, maxRate: 30, ofReaders: true },
    jwtMaxLifetime: 300_000,
    didCacheTimes: { fresh: 300_000, stale: 3_600_000, max: 86_400_000, negative: 60_000 },
    limits: DEFAULT_LIMITS,
    trustedProxies: [],
    proxyHeader: "X-Forwarded-For",
    metricsToken: null,
    metricsPort: null,
    logLevel: "info",
    logFormat: "json",
  });
  assertEquals(readConfig({}, { terminal: true, onDeploy: true }).logFormat, "pretty");
  assertEquals(readConfig({}, { terminal: true, onDeploy: true }).kvPath, null);
  const inContainer = readConfig({}, { ...AT_HOME, memory: 1_000 });
  assertEquals(inContainer.limits.memoryBytes, 850);
});

Deno.test("C2: every setting is read, and an empty one counts as unset", () => {
  assertObjectMatch(
    {
      ...readConfig({
        PORT: "0",
        HOST: "::1",
        WORKERS: "4",
        PUBLIC_URL: "https://sync.example.com/",
        DID: "did:web:sync.example.com",
        SERVICE_ID: "sync",
        NSID_PREFIX: "com.example.sync",
        DATA_DIR: "/var/lib/tessera",
        KV_PATH: "",
        CORS_ORIGINS: "https://a.example, http://localhost:5173",
        UNSAFE_DEV_TOKEN: "dev",
        UNSAFE_ALLOW_LOCAL_DIDS: "1",
        ACCESS_POLICY: "records",
        LIST_REFRESH: "5s",
        LIST_MAX_AGE: "1h",
        ROOM_CREATION: "did-only",
        MAX_SESSION: "1d",
        ACCESS_RECHECK: "5m",
        MAX_CONNECTIONS: "1",
        MAX_CONNECTIONS_PER_DID: "2",
        MAX_CONNECTIONS_PER_ADDRESS: "3",
        MAX_CONNECTIONS_PER_ROOM: "4",
        REQUESTS_PER_ADDRESS: "5",
        CALLS_PER_DID: "6",
        MAX_REQUESTS: "17",
        MAX_REQUESTS_PER_ADDRESS: "18",
        MAX_VERIFICATIONS: "7",
        MAX_LOOKUPS_PER_ADDRESS: "19",
        MAX_LOOKUPS_PER_DOMAIN: "20",
        JOIN_DEADLINE: "8s",
        PING_TIMEOUT: "1m",
        MAX_MESSAGE: "9MiB",
        MAX_PRESENCE_MESSAGE: "10KiB",
        MAX_PROBE: "11KiB",
        MESSAGES_PER_SECOND: "11",
        BYTES_PER_SECOND: "12",
        MAX_HELD: "13MiB",
        MAX_DOCUMENT: "1GiB",
        MAX_ROOMS: "14",
        MAX_MEMORY: "1MiB",
        SHUTDOWN_TIMEOUT: "30s",
        MAX_MEMBERS: "15",
        MAX_ROOMS_PER_DID: "16",
        MAX_PENDING_ROOMS: "18",
        TRUSTED_PROXIES: "10.0.0.0/8, ::1",
        PROXY_HEADER: "Forwarded",
        ROOM_LINGER: "90s",
        PRESENCE_MAX_STATE: "1000",
        PRESENCE_RATE: "10",
        PRESENCE_OF_READERS: "false",
        DID_CACHE_MAX: "2d",
        LOG_LEVEL: "warn",
        LOG_FORMAT: "pretty",
      }, AT_HOME),
    },
    {
      port: 0,
      hostname: "::1",
      workers: 4,
      publicUrl: "https://sync.example.com",
      serviceDid: "did:web:sync.example.com",
      serviceId: "sync",
      nsidPrefix: "com.example.sync",
      kvPath: "/var/lib/tessera/tessera.sqlite3",
      corsOrigins: ["https://a.example", "http://localhost:5173"],
      devToken: "dev",
      allowLocalDids: true,
      policy: "records",
      listTimes: { refresh: 5_000, max: 3_600_000 },
      roomCreation: "did-only",
      maxSession: 86_400_000,
      accessRecheck: 300_000,
      limits: {
        connections: 1,
        connectionsPerDid: 2,
        connectionsPerAddress: 3,
        connectionsPerRoom: 4,
        requestsPerAddress: 5,
        callsPerDid: 6,
        requests: 17,
        requestsAtOncePerAddress: 18,
        lookupsPerAddress: 19,
        lookupsPerDomain: 20,
        verifications: 7,
        joinDeadline: 8_000,
        pingTimeout: 60_000,
        messageBytes: 9 * 1024 * 1024,
        presenceBytes: 10 * 1024,
        probeBytes: 11 * 1024,
        messagesPerSecond: 11,
        bytesPerSecond: 12,
        heldBytes: 13 * 1024 * 1024,
        documentBytes: 1024 ** 3,
        rooms: 14,
        memoryBytes: 1024 * 1024,
        members: 15,
        roomsPerDid: 16,
        pendingRooms: 18,
      },
      trustedProxies: ["10.0.0.0/8", "::1"],
      proxyHeader: "Forwarded",
      shutdownTimeout: 30_000,
      roomLinger: 90_000,
      presence: { maxState: 1_000, maxRate: 10, ofReaders: false },
      didCacheTimes: { fresh: 300_000, stale: 3_600_000, max: 172_800_000, negative: 60_000 },
      logLevel: "warning",
      logFormat: "pretty",
    },
  );
});

Deno.test("C3: what cannot be used is refused, each by its name", () => {
  const bad: [name: string, value: string][] = [
    ["PORT", "65536"],
    ["PORT", "8e3"],
    ["WORKERS", "0"],
    ["PUBLIC_URL", "http://sync.example.com"],
    ["PUBLIC_URL", "http://localhost.example.com"],
    ["PUBLIC_URL", "https://sync.example.com/path"],
    ["PUBLIC_URL", "sync.example.com"],
    ["SERVICE_DID", "did:key:zQ3sh"],
    ["SERVICE_ID", "#sync"],
    ["NSID_PREFIX", "sync"],
    ["PLC_URL", "plc.directory"],
    ["CORS_ORIGINS", "https://a.example,*"],
    ["CORS_ORIGINS", "https://a.example/"],
    ["UNSAFE_DEV_TOKEN", "with space"],
    ["UNSAFE_ALLOW_LOCAL_DIDS", "yes"],
    ["ROOM_LINGER", "60"],
    ["DID_CACHE_STALE", "4m"],
    ["CALLS_PER_DID", "0"],
    ["MAX_MESSAGE", "8MB"],
    ["TRUSTED_PROXIES", "10.0.0.0/33"],
    ["PROXY_HEADER", "for whom"],
    ["LOG_LEVEL", "chatty"],
    ["LOG_FORMAT", "xml"],
  ];
  for (const [name, value] of bad) {
    const { mistakes } = assertThrows(() => readConfig({ [name]: value }, AT_HOME), ConfigError);
    assert(mistakes.some((mistake) => mistake.includes(name)), `${name}=${value}: ${mistakes}`);
  }
});

Deno.test("C4: all mistakes are reported together, in words, with exit code 1 and no secret", async () => {
  const { code, printed } = await runToEnd({
    PORT: "high",
    PUBLIC_URL: "http://example.com",
    DID: "did:web:a.example",
    SERVICE_DID: "did:web:b.example",
    KV_PATH: "x.sqlite3",
    DATA_DIR: "y",
    UNSAFE_DEV_TOKEN: "hush hush",
    LOG_LEVEL: "loud",
  });
  assertEquals(code, 1);
  for (const name of ["PORT", "PUBLIC_URL", "DID", "DATA_DIR", "UNSAFE_DEV_TOKEN", "LOG_LEVEL"]) {
    assert(printed.includes(`- ${name} `), `${name} is not named in:\n${printed}`);
  }
  assert(!printed.includes("hush"), printed);
  assert(!printed.includes("    at "), "a stack trace is no help here");
});

Deno.test("C5: a store that cannot be opened, or a port that is taken, is an error in words", async () => {
  const file = await Deno.makeTempFile();
  const noStore = await runToEnd({ PORT: "0", KV_PATH: `${file}/store.sqlite3` });
  assertEquals(noStore.code, 1);
  assert(noStore.printed.includes("cannot open the store"), noStore.printed);
  await Deno.remove(file);

  const taken = Deno.listen({ port: 0, hostname: "0.0.0.0" });
  const noPort = await runToEnd({ PORT: String(taken.addr.port), KV_PATH: ":memory:" });
  taken.close();
  assertEquals(noPort.code, 1);
  assert(noPort.printed.includes("Tessera cannot start"), noPort.printed);
});
