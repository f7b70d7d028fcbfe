import { type Bounds, failureOf, readAnswer } from "./answer.ts";

/** A GET of a URL; every answer is read to its end, or is none. It rejects with a `LookupFailure`. */
export type BoundedFetch = (
  input: RequestInfo | URL,
  // Headers of any make: on Deno 2.5 those of `@atproto/identity` are not those of Deno.
  init?: { signal?: AbortSignal | null; headers?: object },
) => Promise<Response>;

/** An ordinary fetch, for origins that we chose ourselves, that reads a bounded answer to its end. */
export function boundedFetch({ size, time }: Bounds): BoundedFetch {
  return async (input, init) => {
    const { host } = new URL(input instanceof Request ? input.url : input);
    const signal = init?.signal ?? AbortSignal.timeout(time);
    try {
      const headers = init?.headers as HeadersInit | undefined;
      const response = await fetch(input, { headers, signal, redirect: "error" });
      if (response.status !== 200) await response.body?.cancel();
      return await readAnswer(host, response.status, response.body ?? empty(), size);
    } catch (error) {
      throw failureOf(host, error, signal);
    }
  };
}

async function* empty(): AsyncIterable<Uint8Array> {}
