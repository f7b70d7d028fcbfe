import "../web/deno_2_5.ts";
import { z } from "zod";
import type { Clock } from "../clock.ts";
import { isAccountDid } from "../did/account_did.ts";
import type { DidDocuments } from "../did/did_documents.ts";
import type { Bounds } from "../web/answer.ts";
import { type BoundedFetch, boundedFetch } from "../web/bounded_fetch.ts";
import { guardedFetch } from "../web/guarded_fetch.ts";
import { notAsked, timedOut, unusable } from "../web/lookup_failure.ts";
import { type Allowance, RequestBudget } from "../web/request_budget.ts";

/** A page of a hundred list items has 40 KB; a record may have a megabyte, and nobody needs that here. */
const BOUNDS: Bounds = { size: 1024 * 1024, time: 3_000 };

/** Records a page: the most that a PDS gives. */
const PAGE = 100;

/** A list of ten thousand is a hundred requests. Of a larger collection the latest are read. */
const MAX_RECORDS = 10_000;

/**
 * Requests to one PDS, whoever makes us: half of what the reference PDS allows an address for long
 * (3,000 in 5 minutes), and one large list at once.
 */
const ALLOWANCE: Allowance = { interval: 200, burst: 300 };

/**
 * How long one repository may be read, in ms, besides its last request: a collection of ten thousand at
 * 300 ms a request. A host that takes all the time that a request has gives ten answers.
 */
const MAX_READ_MS = 30_000;

/** A record of somebody's repository. */
export interface RepoRecord {
  uri: string;
  value: unknown;
}

export interface ReposOptions {
  documents: DidDocuments;
  clock: Clock;
  /** Lets a PDS be at `http://localhost`. Development only. */
  allowLocalDids: boolean;
  /** How a PDS is asked. Default: {@linkcode guardedFetch}. */
  fetch?: BoundedFetch;
}

/** Public repositories of ATProto accounts, each read from the PDS that its DID document names. */
export class Repos {
  readonly #options: ReposOptions;
  readonly #budget: RequestBudget;
  readonly #fetch: BoundedFetch;

  constructor(options: ReposOptions) {
    this.#options = options;
    this.#budget = new RequestBudget(options.clock, ALLOWANCE);
    const fetch = options.fetch ?? guardedFetch(BOUNDS);
    this.#fetch = options.allowLocalDids ? orLocal(fetch) : fetch;
  }

  /**
   * Finds a repository, to be read within 30 s; null where there is no such account, or it names no PDS.
   * @param anew Whether to ask the directory even if the document is fresh: the account may have moved.
   * @param address Whose request needs it, if it is a request.
   * @throws {LookupFailure}
   */
  async find(
    did: string,
    { anew = false, address }: { anew?: boolean; address?: string } = {},
  ): Promise<Repo | null> {
    const { documents, allowLocalDids, clock } = this.#options;
    if (!isAccountDid(did, allowLocalDids)) return null;
    const document = await (anew ? documents.newest(did, address) : documents.get(did, address));
    if (document === null) return null;
    const { getPds } = await import("@atproto/identity");
    const endpoint = getPds(document);
    if (endpoint === undefined) return null;
    const deadline = clock.uptime() + MAX_READ_MS;
    return new Repo(did, new URL(endpoint).origin, (url) => this.#get(url, deadline));
  }

  async #get(url: URL, deadline: number): Promise<unknown> {
    if (this.#options.clock.uptime() >= deadline) throw timedOut(url.host);
    const wait = this.#budget.take(url.host);
    if (wait > 0) throw notAsked(url.host, Math.ceil(wait / 1_000));
    const answer = await this.#fetch(url, { headers: { accept: "application/json" } });
    if (answer.status !== 200) throw unusable(url.host, `it has status ${answer.status}`);
    return await answer.json().catch((error) => {
      throw unusable(url.host, "it is not JSON", error);
    });
  }
}

const latestCommit = z.object({ rev: z.string().max(64) });

const page = z.object({
  cursor: z.string().max(2_048).optional(),
  records: z.array(z.object({ uri: z.string(), value: z.unknown() })),
});

/** One repository. */
export class Repo {
  /** How often its host was asked. */
  requests = 0;

  constructor(
    private readonly did: string,
    private readonly origin: string,
    private readonly get: (url: URL) => Promise<unknown>,
  ) {}

  /** The host of its PDS, with its port. */
  get host(): string {
    return new URL(this.origin).host;
  }

  /** The same without the port. */
  get hostname(): string {
    return new URL(this.origin).hostname;
  }

  /** The revision that it is at: another one whenever anything in it has changed. @throws {LookupFailure} */
  async revision(): Promise<string> {
    const { rev } = await this.#query("com.atproto.sync.getLatestCommit", latestCommit, {
      did: this.did,
    });
    return rev;
  }

  /** The records of a collection, the latest first; not more than 10,000. @throws {LookupFailure} */
  async *records(collection: string): AsyncIterable<RepoRecord> {
    let cursor: string | undefined;
    for (let left = MAX_RECORDS; left > 0; left -= PAGE) {
      const { records, cursor: next } = await this.#query("com.atproto.repo.listRecords", page, {
        repo: this.did,
        collection,
        limit: String(PAGE),
        ...cursor !== undefined && { cursor },
      });
      yield* records;
      if (next === undefined || records.length === 0) return;
      cursor = next;
    }
  }

  async #query<T>(
    method: string,
    schema: z.ZodType<T>,
    params: Record<string, string>,
  ): Promise<T> {
    this.requests++;
    const url = new URL(`/xrpc/${method}?${new URLSearchParams(params)}`, this.origin);
    const { data, error } = schema.safeParse(await this.get(url));
    if (error) throw unusable(this.host, `it is none of ${method}`, error);
    return data;
  }
}

/** Lets a PDS on this machine by. */
function orLocal(fetch: BoundedFetch): BoundedFetch {
  const ordinary = boundedFetch(BOUNDS);
  return (input, init) => {
    const { protocol, hostname } = new URL(input instanceof Request ? input.url : input);
    const isLocal = protocol === "http:" && hostname === "localhost";
    return isLocal ? ordinary(input, init) : fetch(input, init);
  };
}
