/** A line between somebody and a port of this machine, which can be cut. */
export class Cable implements Disposable {
  readonly #listener = Deno.listen({ hostname: "localhost", port: 0 });
  readonly #open = new Set<Deno.TcpConn>();
  #isCut = false;

  /** @param target The port that it leads to. */
  constructor(private readonly target: number) {
    this.#accept();
  }

  /** The port of the near end. */
  get port(): number {
    return this.#listener.addr.port;
  }

  /** From now on nobody gets through, who had got through before neither. */
  cut(): void {
    this.#isCut = true;
    for (const end of this.#open) close(end);
    this.#open.clear();
  }

  mend(): void {
    this.#isCut = false;
  }

  async #accept(): Promise<void> {
    for await (const near of this.#listener) {
      if (this.#isCut) close(near);
      else this.#join(near);
    }
  }

  async #join(near: Deno.TcpConn): Promise<void> {
    try {
      const far = await Deno.connect({ hostname: "localhost", port: this.target });
      for (const end of [near, far]) this.#open.add(end);
      const ways = [near.readable.pipeTo(far.writable), far.readable.pipeTo(near.writable)];
      await Promise.allSettled(ways);
    } catch {
      close(near); // nobody is there
    }
  }

  [Symbol.dispose](): void {
    this.cut();
    this.#listener.close();
  }
}

function close(end: Deno.TcpConn): void {
  try {
    end.close();
  } catch {
    // It is closed already.
  }
}
