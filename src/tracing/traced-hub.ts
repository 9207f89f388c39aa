import { type Attributes, context, type Span, SpanKind, type Tracer, trace } from '@opentelemetry/api'
import type { Published } from '../bridge/bridge.ts'
import { Hub } from '../hub/hub.ts'
import type { HubMessage, HubOptions } from '../hub/hub-options.ts'
import { parentOf, traceparentOf } from './trace-context.ts'
import { TracedBridge } from './traced-bridge.ts'

/** A hub whose publishes, and what the bridge does of them, are spans. */
export class TracedHub extends Hub {
  readonly #tracer: Tracer

  constructor(options: HubOptions, tracer: Tracer) {
    super({ ...options, bridge: new TracedBridge(options.bridge, tracer) })
    this.#tracer = tracer
  }

  override publishText(message: HubMessage): Published | Promise<Published> {
    const { room, traceparent } = message
    const span = this.#tracer.startSpan(
      room === undefined ? 'publish' : `publish ${this.rooms.ruleOf(room).match}`,
      { kind: SpanKind.PRODUCER, attributes: attributesOf(message, this) },
      parentOf(traceparent),
    )
    // Members' spans are children of this one.
    const traced = { ...message, traceparent: traceparentOf(span) ?? traceparent }
    const published = context.with(trace.setSpan(context.active(), span), () => super.publishText(traced))
    if (!(published instanceof Promise)) return ended(span, published)
    return published.then((published) => ended(span, published))
  }
}

/** By the semantic conventions of messaging. */
function attributesOf({ room, content, from }: HubMessage, { rooms }: Hub): Attributes {
  return {
    'messaging.system': 'roomcast',
    'messaging.operation.name': 'publish',
    'messaging.operation.type': 'send',
    'messaging.client.id': from.client,
    'messaging.message.body.size': Buffer.byteLength(content),
    ...(room !== undefined && {
      'messaging.destination.name': room,
      'messaging.destination.template': rooms.ruleOf(room).match,
    }),
  }
}

function ended(span: Span, published: Published): Published {
  span.setAttribute('roomcast.scope', published.scope)
  if (published.duplicate) span.setAttribute('roomcast.duplicate', true)
  span.end()
  return published
}
