const home = Deno.env.get("XDG_CACHE_HOME") ?? `${Deno.env.get("HOME")}/.cache`;

/** Where the benchmark keeps what is made once: peers from npm, and traces as updates of Yjs. */
export const CACHE: string = Deno.env.get("TESSERA_BENCH_CACHE") ?? `${home}/tessera-bench`;
