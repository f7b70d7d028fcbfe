/** The parts that come next after a prefix, each once, with the first key that has it. */
export async function* children(
  kv: Deno.Kv,
  prefix: Deno.KvKey,
): AsyncIterable<{ part: Deno.KvKeyPart; key: Deno.KvKey }> {
  let start = [...prefix, new Uint8Array()]; // bytes are the first kind of key part
  for (;;) {
    const [first] = await Array.fromAsync(kv.list({ prefix, start }, { limit: 1 }));
    if (first === undefined) return;
    const part = first.key[prefix.length]!;
    yield { part, key: first.key };
    start = [...prefix, part, true]; // after all of its keys: true is the last kind of key part
  }
}
