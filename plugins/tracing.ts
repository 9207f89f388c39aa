import {
  propagation,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
} from '@opentelemetry/api'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import type { Client } from '../src/hub/client.ts'
import { activeTracer } from '../src/tracing/tracer.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Undefined where the process has no OpenTelemetry SDK. */
    roomcastTracer: Tracer | undefined
  }
  interface FastifyRequest {
    /** Of a request to become a client, while it is not answered. */
    roomcastUpgrade?: UpgradeSpan | undefined
  }
}

/** Decorates with the tracer of the process's OpenTelemetry SDK. */
export const tracingPlugin = fp(
  async (app: FastifyInstance) => {
    app.decorate('roomcastTracer', activeTracer())
  },
  { name: 'roomcast-tracing' },
)

/** Makes a span of each request to become a client by one of these routes. Nothing where nothing is traced. */
export const upgradeTracingPlugin = fp(
  async (app: FastifyInstance, { routes }: { routes: readonly string[] }) => {
    const { roomcastTracer: tracer } = app
    if (tracer === undefined) return
    const urls = new Set(routes.map((route) => app.prefix + route))
    app.addHook('onRequest', (request, _reply, done) => {
      const { url } = request.routeOptions
      if (url !== undefined && urls.has(url)) request.roomcastUpgrade = new UpgradeSpan(tracer, request, url)
      done()
    })
    app.addHook('onResponse', (request, reply, done) => {
      request.roomcastUpgrade?.refused(reply.statusCode)
      done()
    })
  },
  { name: 'roomcast-upgrade-tracing', dependencies: ['roomcast-tracing'] },
)

/** From the request until there is a client, or a refusal, or the peer has gone. */
class UpgradeSpan {
  readonly #span: Span
  readonly #request: FastifyRequest
  readonly #gone = () => this.#end()

  constructor(tracer: Tracer, request: FastifyRequest, route: string) {
    // The path alone: the query has the token.
    const attributes = {
      'http.request.method': request.method,
      'http.route': route,
      'url.path': route,
      'network.protocol.version': request.raw.httpVersion,
    }
    const parent = propagation.extract(ROOT_CONTEXT, request.headers)
    this.#span = tracer.startSpan(`GET ${route}`, { kind: SpanKind.SERVER, attributes }, parent)
    this.#request = request
    request.raw.socket.once('close', this.#gone)
  }

  accepted({ id }: Client, status: 101 | 200): void {
    this.#span.setAttributes({ 'http.response.status_code': status, 'messaging.client.id': id })
    this.#end()
  }

  refused(status: number): void {
    this.#span.setAttribute('http.response.status_code', status)
    if (status >= 500) this.#span.setStatus({ code: SpanStatusCode.ERROR })
    this.#end()
  }

  #end(): void {
    this.#request.raw.socket.removeListener('close', this.#gone)
    this.#request.roomcastUpgrade = undefined
    this.#span.end()
  }
}
