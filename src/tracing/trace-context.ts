import {
  type Context,
  context,
  isSpanContextValid,
  type Span,
  type SpanContext,
  trace,
} from '@opentelemetry/api'

/** A span's place as W3C Trace Context writes it; undefined for a span that has none. */
export function traceparentOf(span: Span): string | undefined {
  const { traceId, spanId, traceFlags } = span.spanContext()
  if (!isSpanContextValid({ traceId, spanId, traceFlags })) return undefined
  return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`
}

/** What a span of a publish is a child of: the span that the publisher's own code is in, or else what the sender said. */
export function parentOf(traceparent: string | undefined): Context {
  const active = context.active()
  if (traceparent === undefined || trace.getSpan(active) !== undefined) return active
  return trace.setSpanContext(active, spanContextOf(traceparent))
}

/** Of a traceparent that the schema took. */
function spanContextOf(traceparent: string): SpanContext {
  const [, traceId = '', spanId = '', flags = ''] = traceparent.split('-')
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true }
}
