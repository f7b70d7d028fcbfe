import type { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo, Socket as TcpSocket } from "node:net";
import { Readable } from "node:stream";
import { setImmediate } from "node:timers/promises";
import { getLogger } from "@logtape/logtape";
import type { Clock } from "../clock.ts";
import { hasToken } from "./header_list.ts";
import { Proxies } from "../limits/proxies.ts";
import { Refusal } from "../refusal.ts";
import type { Listener, ListenOptions } from "./listener.ts";
import { PlainConnections } from "./plain_connections.ts";
import { sliceReads, stopSlicing } from "./sliced_reads.ts";
import type { IncomingRequest, Upgraded } from "./transport.ts";
import { WsSocket } from "./ws_socket.ts";

const logger = getLogger(["tessera", "http"]);

/** The head of a request takes at most this long to arrive, and the whole of it, in ms. */
const HEADERS_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 30_000;
const TIMEOUT_CHECK_MS = 1_000;

/**
 * A connection without a request is kept for so long, in ms: longer than a proxy keeps it (nginx 60 s, Caddy
 * 2 min), or the proxy would send a request to a connection that is just being closed.
 */
const KEEP_ALIVE_MS = 130_000;

/** A request's headers, in bytes. */
const MAX_HEADER_BYTES = 16 * 1024;

/** How long the rest of a body is read that nobody wants, in ms, so that its sender can read the answer. */
const DRAIN_MS = 2_000;

const NO_PROXY =
  "HTTP/1.1 405 Method Not Allowed\r\nallow: GET, HEAD, POST\r\nconnection: close\r\n\r\n";

/** Sockets are looked after in so many groups, or all pings would be sent at once. */
const GROUPS = 60;

/**
 * Listens with `node:http`, and opens sockets with `ws`: unlike Deno's own, these can stop reading, and apply
 * their limits while a message arrives.
 * @throws {Deno.errors.AddrInUse} and what else the system says
 */
export async function listen(options: ListenOptions): Promise<Listener> {
  const { port, hostname, reusePort, limits, clock, service } = options;
  const pings = new Pings(limits.pingTimeout, clock);
  const proxies = new Proxies(options.trustedProxies);
  const isProxy = (address: string) => proxies.includes(address);
  const connections = new PlainConnections({ limits, clock, isProxy });
  const server = createServer(
    {
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      connectionsCheckingInterval: TIMEOUT_CHECK_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      maxHeaderSize: MAX_HEADER_BYTES,
      // What is no WebSocket handshake is answered as if it had not asked for an upgrade.
      shouldUpgradeCallback: isHandshake,
    } as Parameters<typeof createServer>[0],
  );

  server.on("connection", (tcp: TcpSocket) => {
    tcp.on("error", () => {}); // its close says so as well
    sliceReads(tcp);
    connections.add(tcp);
  });

  server.on("request", (request: IncomingMessage, response: ServerResponse) => {
    const tcp = request.socket; // which it forgets when it is over
    if (!connections.begin(tcp)) return;
    response.once("close", () => connections.end(tcp));
    guard(tcp, async () => {
      const transport = { address: tcp.remoteAddress ?? "unknown", upgrade: null };
      await write(await service().handle(incoming(request), transport), request, response);
      if (!request.complete) destroyLater(tcp, () => request.complete);
    });
  });

  server.on("upgrade", (request: IncomingMessage, tcp: TcpSocket, head: Buffer) => {
    stopSlicing(tcp);
    if (!connections.begin(tcp)) return;
    const upgrade = (protocol?: string): Upgraded => {
      if (!tcp.readable || !tcp.writable) throw clientGone();
      tcp.write(switching(request.headers["sec-websocket-key"]!, protocol));
      const socket = new WsSocket(tcp, head, limits.messageBytes, clock);
      pings.add(socket, tcp);
      connections.remove(tcp);
      return { socket, response: new Response(null, { status: 101 }) };
    };
    guard(tcp, async () => {
      const transport = { address: tcp.remoteAddress ?? "unknown", upgrade };
      const answer = await service().handle(incoming(request), transport);
      if (answer.status !== 101) await refuse(answer, request, tcp);
    });
  });

  // A proxy is what would understand it.
  server.on("connect", (_: IncomingMessage, tcp: TcpSocket) => {
    stopSlicing(tcp);
    guard(tcp, () => {
      tcp.end(NO_PROXY);
      destroyLater(tcp);
    });
  });

  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => reject(asDeno(error)));
    server.listen({ port, host: hostname, reusePort }, resolve);
  });
  server.removeAllListeners("error").on("error", () => {}); // of accepting: the system is short of something
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      pings.stop();
      connections.stop();
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

/**
 * Does the work of one connection. What goes wrong may cost this connection, and no other: an error that
 * nobody caught would end the process.
 */
async function guard(tcp: TcpSocket, work: () => void | Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    logger.error("a connection failed: {error}", { error });
    tcp.destroy();
  }
}

/** Sends pings to sockets that are silent, and ends those that do not answer. */
class Pings {
  readonly #groups = Array.from({ length: GROUPS }, () => new Set<WsSocket>());
  readonly #period: number;
  #added = 0;
  #turn = 0;
  #cancel = () => {};

  constructor(pingTimeout: number, private readonly clock: Clock) {
    // Each socket is looked at twice in that time: once for the ping, once for the answer.
    this.#period = pingTimeout / 2 / GROUPS;
    this.#goOn();
  }

  add(socket: WsSocket, tcp: TcpSocket): void {
    const group = this.#groups[this.#added++ % GROUPS]!;
    group.add(socket);
    tcp.once("close", () => group.delete(socket));
  }

  stop(): void {
    this.#cancel();
  }

  #goOn(): void {
    this.#cancel = this.clock.after(this.#period, () => {
      this.#turn = (this.#turn + 1) % GROUPS;
      for (const socket of this.#groups[this.#turn]!) socket.checkAlive();
      this.#goOn();
    });
  }
}

/** Whether the request asks for a WebSocket. What it gets wrong then is answered by our routes. */
function isHandshake({ method, headers }: IncomingMessage): boolean {
  return method === "GET" && hasToken(headers.upgrade, "websocket") &&
    headers["transfer-encoding"] === undefined && !Number(headers["content-length"] ?? 0);
}

/** What a server adds to the key of a handshake: https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2 */
const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/** Answers a handshake that was found correct. */
function switching(key: string, protocol: string | undefined): string {
  const lines = [
    "HTTP/1.1 101 Switching Protocols",
    "Upgrade: websocket",
    "Connection: Upgrade",
    `Sec-WebSocket-Accept: ${createHash("sha1").update(key + GUID).digest("base64")}`,
    ...protocol === undefined ? [] : [`Sec-WebSocket-Protocol: ${protocol}`],
  ];
  return `${lines.join("\r\n")}\r\n\r\n`;
}

function incoming(request: IncomingMessage): IncomingRequest {
  const { method = "GET", rawHeaders, url = "/" } = request;
  request.on("error", () => {}); // whoever reads the body is told
  const headers = new Headers();
  for (let n = 0; n + 1 < rawHeaders.length; n += 2) {
    headers.append(rawHeaders[n]!, rawHeaders[n + 1]!);
  }
  const hasBody = headers.has("transfer-encoding") ||
    Number(headers.get("content-length") ?? 0) > 0;
  return {
    method,
    // A target may be a whole URL: https://www.rfc-editor.org/rfc/rfc9112#section-3.2.2
    url: url.startsWith("/") ? `http://${headers.get("host") || "localhost"}${url}` : url,
    headers,
    body: hasBody ? Readable.toWeb(request) as ReadableStream<Uint8Array<ArrayBuffer>> : null,
  };
}

/** Refuses an upgrade. The connection cannot be used any further: what follows may be frames. */
async function refuse(answer: Response, request: IncomingMessage, tcp: TcpSocket): Promise<void> {
  const response = new ServerResponse(request);
  response.shouldKeepAlive = false;
  response.assignSocket(tcp);
  await write(answer, request, response);
  tcp.end();
  tcp.resume();
  destroyLater(tcp);
}

/** Sends an answer. Resolves when the last of it has been handed to the system, or the client has gone. */
async function write(
  answer: Response,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  response.on("error", () => {}); // its close says so as well
  response.statusCode = answer.status;
  for (const [name, value] of answer.headers) response.appendHeader(name, value);
  try {
    if (answer.body === null) response.end();
    else if (request.method === "HEAD") {
      response.end();
      await answer.body.cancel();
    } else await copy(answer.body.getReader(), response);
  } catch (error) {
    logger.warn("an answer broke off: {error}", { error });
    response.destroy(); // or it would look complete
  }
}

/** Copies a body at the pace of its reader. One that is there as a whole is sent with its length. */
async function copy(
  body: ReadableStreamDefaultReader<Uint8Array>,
  response: ServerResponse,
): Promise<void> {
  let part = await body.read();
  let next = body.read();
  next.catch(() => {}); // told when it is awaited
  const isWhole = await Promise.race([next.then(({ done }) => done), setImmediate(false)]);
  if (isWhole) return void response.end(part.value);
  while (!part.done) {
    if (!response.write(part.value)) {
      await new Promise<void>((resolve) => response.once("drain", resolve).once("close", resolve));
    }
    if (response.destroyed) return await body.cancel();
    part = await next;
    next = body.read();
    next.catch(() => {});
  }
  response.end();
}

/** Gives the other side some time to read the last words. */
function destroyLater(tcp: TcpSocket, isFine = () => false): void {
  const timer = setTimeout(() => isFine() || tcp.destroy(), DRAIN_MS);
  tcp.once("close", () => clearTimeout(timer));
}

/** For the log: nobody else hears of it. The status is nginx's. */
function clientGone(): Refusal {
  return new Refusal("ClientGone", 499, "The client has gone before its handshake was answered.");
}

/** What `Deno.serve` would throw. */
function asDeno(error: Error & { code?: string }): Error {
  if (error.code === "EADDRINUSE") return new Deno.errors.AddrInUse(error.message);
  if (error.code === "EACCES") return new Deno.errors.PermissionDenied(error.message);
  return error;
}
