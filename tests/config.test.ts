import { assert, assertEquals, assertObjectMatch, assertThrows } from "@std/assert";
import { ConfigError, readConfig, SETTINGS } from "../src/config.ts";
import { DEFAULT_LIMITS } from "../src/limits/limits.ts";
import { unknownSettings } from "../src/server/unknown_settings.ts";
import { runTask, runToEnd } from "./outside/server_process.ts";

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
        UNSAFE_DEV_TOKEN_IN_PUBLIC: "true",
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
        MAX_LIST_READS_PER_ADDRESS: "31",
        MAX_HTTP_CONNECTIONS: "33",
        MAX_HTTP_CONNECTIONS_PER_ADDRESS: "34",
        MAX_LIST_READS_PER_DOMAIN: "32",
        JOIN_DEADLINE: "8s",
        PING_TIMEOUT: "1m",
        MAX_MESSAGE: "9MiB",
        MAX_PRESENCE_MESSAGE: "10KiB",
        MAX_PROBE: "11KiB",
        MAX_LARGE_MESSAGES_PER_DID: "12",
        MAX_EVENT_LOOP_LAG: "2s",
        MESSAGES_PER_SECOND: "11",
        BYTES_PER_SECOND: "12",
        MAX_HELD: "13MiB",
        MAX_UNSENT_PER_DID: "14MiB",
        MAX_DOCUMENT: "1GiB",
        MAX_DOCUMENT_CLIENTS: "18",
        MAX_DOCUMENT_MEMORY: "2GiB",
        MAX_ROOMS: "14",
        MAX_MEMORY: "1MiB",
        SHUTDOWN_TIMEOUT: "30s",
        MAX_MEMBERS: "15",
        MAX_BANS: "21",
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
        listReadsPerAddress: 31,
        httpConnections: 33,
        httpConnectionsPerAddress: 34,
        listReadsPerDomain: 32,
        verifications: 7,
        joinDeadline: 8_000,
        pingTimeout: 60_000,
        messageBytes: 9 * 1024 * 1024,
        presenceBytes: 10 * 1024,
        probeBytes: 11 * 1024,
        largeMessagesPerDid: 12,
        eventLoopLag: 2_000,
        messagesPerSecond: 11,
        bytesPerSecond: 12,
        heldBytes: 13 * 1024 * 1024,
        unsentBytesPerDid: 14 * 1024 * 1024,
        documentBytes: 1024 ** 3,
        documentClients: 18,
        documentMemory: 2 * 1024 ** 3,
        rooms: 14,
        memoryBytes: 1024 * 1024,
        members: 15,
        bans: 21,
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
    ["HOST", "not a host"],
    ["HOST", "300.1.1.1"],
    ["HOST", "[::1]"],
    ["HOST", "http://localhost"],
    ["KV_PATH", "http://kv.internal:4512"],
    ["KV_PATH", "https://user:hush@kv.internal"],
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

const withToken = (env: Record<string, string>) =>
  readConfig({ UNSAFE_DEV_TOKEN: "dev-token", ...env }, AT_HOME);

Deno.test("C6: a development token is for this machine, unless a second setting says otherwise", () => {
  assertEquals(withToken({}).hostname, "127.0.0.1");
  assertEquals(readConfig({}, AT_HOME).hostname, "0.0.0.0");
  for (const HOST of ["127.0.0.1", "127.1.2.3", "::1", "localhost"]) {
    assertEquals(withToken({ HOST }).hostname, HOST);
  }
  const inPublic: Record<string, string>[] = [
    { PUBLIC_URL: "https://sync.example.com" },
    { PUBLIC_URL: "https://localhost" },
    ...["0.0.0.0", "::", "10.0.0.1", "192.168.0.1", "example.com", "127.0.0.1.example.com"]
      .map((HOST) => ({ HOST })),
  ];
  for (const env of inPublic) {
    const { mistakes } = assertThrows(() => withToken(env), ConfigError);
    assertEquals(mistakes.length, 1, JSON.stringify(env));
    assert(mistakes[0]!.includes("UNSAFE_DEV_TOKEN_IN_PUBLIC=true"), mistakes[0]);
    assert(!mistakes[0]!.includes("dev-token"));
    withToken({ ...env, UNSAFE_DEV_TOKEN_IN_PUBLIC: "true" });
    assertThrows(() => withToken({ ...env, UNSAFE_DEV_TOKEN_IN_PUBLIC: "false" }), ConfigError);
  }
});

Deno.test("C7: a name that is almost a setting's is reported, with the setting", () => {
  const meant: Record<string, string> = {
    KV_PTH: "KV_PATH",
    LOGLEVEL: "LOG_LEVEL",
    logLevel: "LOG_LEVEL",
    log_level: "LOG_LEVEL",
    PUBLIC_ULR: "PUBLIC_URL",
    PUBLICURL: "PUBLIC_URL",
    METRIC_PORT: "METRICS_PORT",
    MAX_DOCUMENTS: "MAX_DOCUMENT",
    TRUSTED_PROXY: "TRUSTED_PROXIES",
    CORS_ORIGIN: "CORS_ORIGINS",
    UNSAFE_DEV_TOKENS: "UNSAFE_DEV_TOKEN",
    ACCES_POLICY: "ACCESS_POLICY",
    SERVICEDID: "SERVICE_DID",
    WORKER: "WORKERS",
  };
  for (const [name, nearest] of Object.entries(meant)) {
    assertEquals(unknownSettings([name], SETTINGS), [{ name, nearest }]);
  }
  assertEquals(unknownSettings(SETTINGS, SETTINGS), []);
});

Deno.test("C7: nothing that an environment usually holds is taken for a setting", () => {
  const usual = Object.keys(Deno.env.toObject());
  const others =
    `PATH HOME HOSTNAME HOSTTYPE HOSTALIASES SHELL USER LOGNAME LANG LC_ALL TERM PWD SHLVL MAIL
    EDITOR DISPLAY TMPDIR TZ DEBUG NODE_ENV NODE_PATH NODE_OPTIONS NO_COLOR FORCE_COLOR DENO_DIR
    DENO_INSTALL DENO_NO_UPDATE_CHECK DENO_DEPLOYMENT_ID DENO_REGION XDG_DATA_DIRS XDG_CONFIG_HOME
    XDG_DATA_HOME SSH_AUTH_SOCK SSH_CONNECTION INVOCATION_ID JOURNAL_STREAM SYSTEMD_EXEC_PID
    STATE_DIRECTORY CACHE_DIRECTORY LOGS_DIRECTORY NOTIFY_SOCKET MAINPID
    KUBERNETES_PORT KUBERNETES_SERVICE_HOST KUBERNETES_SERVICE_PORT KUBERNETES_SERVICE_PORT_HTTPS
    KUBERNETES_PORT_443_TCP KUBERNETES_PORT_443_TCP_ADDR KUBERNETES_PORT_443_TCP_PORT
    TESSERA_SERVICE_HOST TESSERA_SERVICE_PORT TESSERA_PORT TESSERA_PORT_80_TCP DENOKV_PORT
    DENOKV_SERVICE_HOST METRICS_SERVICE_HOST POD_NAME POD_IP NODE_NAME NODE_IP
    CI GITHUB_ACTIONS GITHUB_SHA GITHUB_REF GITHUB_WORKSPACE GITHUB_TOKEN GITHUB_REPOSITORY RUNNER_OS
    RUNNER_TEMP RUNNER_TOOL_CACHE ImageOS ImageVersion ACTIONS_CACHE_URL GITLAB_CI CI_PROJECT_ID
    CI_COMMIT_SHA CI_JOB_ID CI_SERVER_HOST CI_SERVER_PORT BUILD_ID BUILD_NUMBER JENKINS_HOME WORKSPACE
    FLY_APP_NAME FLY_REGION FLY_MACHINE_ID FLY_PUBLIC_IP PRIMARY_REGION VM_MEMORY_MB
    AWS_REGION AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY DATABASE_URL REDIS_URL SENTRY_DSN SECRET_KEY
    HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy no_proxy SSL_CERT_FILE SSL_CERT_DIR GPG_KEY
    OTEL_DENO OTEL_EXPORTER_OTLP_ENDPOINT OTEL_SERVICE_NAME GRAFANA_URL PROMETHEUS_PORT
    POSTGRES_HOST POSTGRES_PORT POSTGRES_USER DB_HOST DB_PORT APP_URL API_URL BASE_URL SERVER_PORT
    LOG_FILE LOG_DIR DATA_HOME DATA_PATH WORK_DIR WORKDIR HOSTS POST DIRS KV_URL KV_HOST
    VIRTUAL_ENV CONDA_PREFIX JAVA_HOME GOPATH CARGO_HOME RUSTUP_HOME NVM_DIR npm_config_cache
    npm_lifecycle_event npm_package_version COLORTERM LS_COLORS PS1 HISTSIZE WINDOWID WAYLAND_DISPLAY
    SYNC_HOST UPSTREAM`.split(/\s+/);
  assertEquals(unknownSettings([...usual, ...others], SETTINGS), []);
});

Deno.test("C7: an unknown setting is a warning at the start, and for the tools, without its value", async () => {
  const env = { KV_PTH: "hush.sqlite3", KV_PATH: `${await Deno.makeTempFile()}/x`, PORT: "0" };
  const warning = "KV_PTH is not a setting; did you mean KV_PATH?";
  for (const { printed } of [await runToEnd(env), await runTask("doctor", [], env)]) {
    assert(printed.includes(warning), printed);
    assert(!printed.includes("hush"), printed);
  }
});
