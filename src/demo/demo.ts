import { createSyncService } from "../mod.ts";
import type { Page } from "./build.ts";
import type { Cast } from "./page/account.ts";
import type { PdsServer } from "./pds_server.ts";

/** Who is there to write together. */
const NAMES = ["alice", "bob", "carol"];

/** A demo that runs. */
export interface Demo {
  /** Closes all sockets, and resolves once what they had sent is saved. */
  stop(): Promise<void>;
}

export interface DemoOptions {
  page: Page;
  cast: Cast;
  /** The origin that browsers see. */
  url: string;
  /** Where it listens, if not at the port of `url`. */
  port?: number;
  /** Where documents are kept: a file, or `:memory:`. */
  kv: string;
  /** Who vouches for the accounts, if not the development token. */
  pds: PdsServer | null;
}

/** Serves the page, and the sync service that it speaks to. */
export function startDemo({ page, cast, url, port, kv, pds }: DemoOptions): Demo {
  const service = createSyncService({
    publicUrl: url,
    kv,
    plcUrl: pds?.plcUrl,
    allowLocalDids: true,
    devToken: "token" in cast ? cast.token : undefined,
  });
  const policy = securityPolicy(url, pds);
  const show = async (name: string): Promise<Response> => {
    if (name === "cast.json") return Response.json(cast);
    if (name.startsWith("did/")) return await fetch(`${pds?.plcUrl}/${name.slice("did/".length)}`);
    const file = page.get(name);
    if (file === undefined) return new Response("There is nothing here.", { status: 404 });
    const headers = { "content-security-policy": policy, "referrer-policy": "no-referrer" };
    return new Response(file.body, { headers: { "content-type": file.type, ...headers } });
  };
  // Development only: nobody but this machine gets in.
  const address = { port: port ?? Number(new URL(url).port), hostname: "localhost" };
  const hosts = hostsOf([address.port, Number(new URL(url).port)]);
  const server = Deno.serve({ ...address, onListen: () => {} }, (request, info) => {
    // A page of another host that resolves to this machine would be of the demo's own origin.
    if (!hosts.has(request.headers.get("host") ?? "")) {
      return new Response("The demo is for this machine alone.", { status: 403 });
    }
    const { pathname } = new URL(request.url);
    if (pathname === "/") return Response.redirect(`${url}/demo/`);
    if (!pathname.startsWith("/demo/")) return service.fetch(request, info);
    return show(pathname.slice("/demo/".length));
  });
  return {
    stop: async () => {
      await service.shutdown();
      await server.shutdown();
    },
  };
}

/** The names of this machine at these ports. */
function hostsOf(ports: number[]): Set<string> {
  const names = ["localhost", "127.0.0.1", "[::1]"];
  return new Set(ports.flatMap((port) => names.map((name) => `${name}:${port}`)));
}

/** Nothing comes from elsewhere; the editor makes styles of its own, and the PDS is at another port. */
function securityPolicy(url: string, pds: PdsServer | null): string {
  const connect = ["'self'", url.replace("http", "ws"), pds?.url].filter(Boolean).join(" ");
  return "default-src 'self'; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; " +
    `base-uri 'none'; connect-src ${connect}`;
}

/** People whom a development token stands for. */
export function madeUpCast(): Cast {
  const person = (name: string) => ({ handle: `${name}.example`, did: `did:web:${name}.example` });
  return { token: crypto.randomUUID(), accounts: NAMES.map(person) };
}

/** People with accounts on a PDS, whose word a service at `url` takes. */
export async function castOn(pds: PdsServer, url: string): Promise<Cast> {
  const accounts = await Promise.all(NAMES.map(async (name) => {
    const password = crypto.randomUUID();
    const { did } = await pds.createAccount(name, password);
    return { handle: `${name}.test`, did, password };
  }));
  const service = `did:web:${encodeURIComponent(new URL(url).host)}#roomy_syncserver`;
  return { pds: pds.url, service, accounts };
}
