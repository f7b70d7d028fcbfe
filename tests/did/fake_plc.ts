/** A PLC directory on this machine that answers as it is told, and counts how often it is asked. */
export class FakePlc implements AsyncDisposable {
  #answers = new Map<string, () => Response | Promise<Response>>();
  #asked = new Map<string, number>();
  readonly #stop = new AbortController();
  readonly #options = { port: 0, hostname: "127.0.0.1", onListen() {}, signal: this.#stop.signal };
  readonly #server = Deno.serve(this.#options, (request) => {
    const did = decodeURIComponent(new URL(request.url).pathname.slice(1));
    this.#asked.set(did, this.asked(did) + 1);
    return this.#answers.get(did)?.() ?? new Response(null, { status: 404 });
  });

  readonly url = `http://127.0.0.1:${this.#server.addr.port}`;

  /** From now on, answers every look-up of `did` so. */
  answer(did: string, answer: () => Response | Promise<Response>): void {
    this.#answers.set(did, answer);
  }

  /** From now on, has this document. */
  publish(document: { id: string }): void {
    this.answer(document.id, () => Response.json(document));
  }

  /** How often `did` was looked up. */
  asked(did: string): number {
    return this.#asked.get(did) ?? 0;
  }

  async [Symbol.asyncDispose]() {
    this.#stop.abort(); // gently, Deno 2.5 waits for lines that nobody uses
    await this.#server.finished;
  }
}
