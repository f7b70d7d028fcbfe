import { type Attributes, type Span, SpanStatusCode, trace } from "@opentelemetry/api";

/** Does nothing unless the process runs with `OTEL_DENO=true`: https://docs.deno.com/runtime/fundamentals/open_telemetry/ */
const tracer = trace.getTracer("tessera");

/** Ends a span; with an error, if something came of what it is about that should not have. */
export type End = (error?: unknown) => void;

/** Begins a span, of which what runs now is a part. */
export function begin(name: string, attributes: Attributes): End {
  const span = tracer.startSpan(name, { attributes });
  return (error) => finish(span, error);
}

/**
 * Does something in a span.
 * @param attributes Neither secrets nor what somebody wrote: they leave the process.
 * @param root It is nobody's part, although somebody's request may have set it off.
 */
export async function traced<T>(
  name: string,
  attributes: Attributes,
  work: () => Promise<T>,
  root = false,
): Promise<T> {
  return await tracer.startActiveSpan(name, { attributes, root }, async (span) => {
    try {
      const result = await work();
      finish(span);
      return result;
    } catch (error) {
      finish(span, error);
      throw error;
    }
  });
}

function finish(span: Span, error?: unknown): void {
  if (error !== undefined) {
    // By its name alone: what an error says in words may be somebody's business.
    const message = error instanceof Error ? error.name : String(error);
    span.setStatus({ code: SpanStatusCode.ERROR, message });
  }
  span.end();
}
