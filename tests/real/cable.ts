/** A line between somebody and a port of this machine, which can be cut. */
export class Cable implements Disposable {
  readonly #listener = Deno.listen({ hostname: "localhost", port: 0 });
  readonly #open = new Set<Deno.TcpConn>();
  #isCut = false;

  readonly #pace: (bytes: number) => Promise<void>;

  /**
   * @param target The port that it leads to.
   * @param bytesPerSecond What it carries, in each direction.
   */
  constructor(private readonly target: number, { bytesPerSecond = Infinity } = {}) {
    this.#pace = (bytes) =>
      new Promise((resolve) => setTimeout(resolve, bytes / bytesPerSecond * 1_000));
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

  /** Lets through no more than the line carries. */
  #slowed(): TransformStream<Uint8Array, Uint8Array> {
    return new TransformStream({
      transform: async (bytes, controller) => {
        await this.#pace(bytes.length);
        controller.enqueue(bytes);
      },
    });
  }

  async #join(near: Deno.TcpConn): Promise<void> {
    try {
      const far = await Deno.connect({ hostname: "localhost", port: this.target });
      for (const end of [near, far]) this.#open.add(end);
      await Promise.allSettled([
        near.readable.pipeThrough(this.#slowed()).pipeTo(far.writable),
        far.readable.pipeThrough(this.#slowed()).pipeTo(near.writable),
      ]);
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
