import * as Y from "yjs";

/** A real editing history: https://github.com/josephg/editing-traces. */
interface Trace {
  endContent: string;
  txns: { patches: [at: number, deleted: number, inserted: string][] }[];
}

/** Where the traces lie. */
const FOLDER = Deno.env.get("TESSERA_TRACES") ??
  new URL("../../../shared/traces/", import.meta.url).pathname;

/** Replays a trace of one writer. Returns the document, and the text that it must have. */
export async function replay(name: string): Promise<{ doc: Y.Doc; endContent: string }> {
  const { endContent, txns } = await read(name);
  const doc = new Y.Doc();
  const text = doc.getText("text");
  for (const { patches } of txns) {
    doc.transact(() => {
      for (const [at, deleted, inserted] of patches) {
        if (deleted > 0) text.delete(at, deleted);
        if (inserted !== "") text.insert(at, inserted);
      }
    });
  }
  if (text.toString() !== endContent) throw new Error(`${name} does not end as it must`);
  return { doc, endContent };
}

async function read(name: string): Promise<Trace> {
  const path = `${FOLDER}/${name}.json.gz`;
  try {
    const file = await Deno.open(path);
    return await new Response(file.readable.pipeThrough(new DecompressionStream("gzip"))).json();
  } catch (cause) {
    throw new Error(`no trace at ${path}; TESSERA_TRACES says where they lie`, { cause });
  }
}
