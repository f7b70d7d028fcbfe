/** A PDS on this machine whose repositories a test writes, and that counts how often it is asked. */
export class FakePds implements AsyncDisposable {
  /** The methods that were called, in order. */
  readonly asked: string[] = [];
  /** Answers in the place of what it has, if it returns one. */
  instead: (url: URL) => Response | Promise<Response> | undefined = () => undefined;
  readonly #repos = new Map<string, { rev: number; records: Map<string, unknown> }>();
  #keys = 0;
  readonly #stop = new AbortController();
  readonly #options = { port: 0, hostname: "127.0.0.1", onListen() {}, signal: this.#stop.signal };
  readonly #server = Deno.serve(this.#options, async (request) => {
    const url = new URL(request.url);
    const method = url.pathname.slice("/xrpc/".length);
    this.asked.push(method);
    return await this.instead(url) ?? this.#answer(method, url.searchParams);
  });

  readonly url = `http://localhost:${this.#server.addr.port}`;

  /** Writes a record. Returns its AT-URI. */
  put(did: string, collection: string, value: Record<string, unknown>): string {
    const uri = `at://${did}/${collection}/${String(++this.#keys).padStart(13, "0")}`;
    this.#repo(did).records.set(uri, { $type: collection, ...value });
    this.#repo(did).rev++;
    return uri;
  }

  /** Deletes a record. */
  delete(did: string, uri: string): void {
    this.#repo(did).records.delete(uri);
    this.#repo(did).rev++;
  }

  /** Has the repository no more. */
  drop(did: string): void {
    this.#repos.delete(did);
  }

  #repo(did: string) {
    const repo = this.#repos.get(did) ?? { rev: 0, records: new Map() };
    this.#repos.set(did, repo);
    return repo;
  }

  #answer(method: string, params: URLSearchParams): Response {
    const repo = this.#repos.get(params.get("did") ?? params.get("repo") ?? "");
    if (repo === undefined) return Response.json({ error: "RepoNotFound" }, { status: 400 });
    if (method === "com.atproto.sync.getLatestCommit") {
      return Response.json({ cid: "bafyrei", rev: `rev${repo.rev}` });
    }
    if (method !== "com.atproto.repo.listRecords") return new Response(null, { status: 501 });
    const prefix = `at://${params.get("repo")}/${params.get("collection")}/`;
    const cursor = params.get("cursor");
    const all = [...repo.records].filter(([uri]) => uri.startsWith(prefix)).reverse()
      .filter(([uri]) => cursor === null || uri.slice(prefix.length) < cursor);
    const page = all.slice(0, Number(params.get("limit")));
    return Response.json({
      records: page.map(([uri, value]) => ({ uri, cid: "bafyrei", value })),
      ...all.length > page.length && { cursor: page.at(-1)![0].slice(prefix.length) },
    });
  }

  async [Symbol.asyncDispose]() {
    this.#stop.abort(); // gently, Deno 2.5 waits for lines that nobody uses
    await this.#server.finished;
  }
}
