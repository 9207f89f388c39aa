// roomcast in a process with OpenTelemetry's own SDK, as an operator would set it up.
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { context, ROOT_CONTEXT, SpanKind, trace } from '@opentelemetry/api'
import {
  InMemorySpanExporter,
  NodeTracerProvider,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-node'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import roomcast, { type RoomcastOptions } from '../../src/app.ts'
import { Hub } from '../../src/hub/hub.ts'
import { TracedBridge } from '../../src/tracing/traced-bridge.ts'
import { API_SECRET, callApi } from '../support/api.ts'
import { connect } from '../support/client.ts'
import { EventStream } from '../support/event-stream.ts'
import { startRedis } from '../support/redis.ts'
import { startServer } from '../support/server.ts'
import { SECRET, tokenFor } from '../support/token.ts'
import { pollUntil } from '../support/until.ts'

const TRACE = '0af7651916cd43dd8448eb211c80319c'
const SENT = `00-${TRACE}-b7ad6b7169203331-01`
const rules = { 'traced.*': { trace: true }, 'plain.*': {} }

const exporter = new InMemorySpanExporter()
const spans = (name: string) => exporter.getFinishedSpans().filter((span) => span.name === name)
const traceparentOf = (span: ReadableSpan) =>
  `00-${span.spanContext().traceId}-${span.spanContext().spanId}-01`

async function listening(t: Test, options: Partial<RoomcastOptions> = {}) {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(roomcast, { jwtSecret: SECRET, apiKeys: `test:${API_SECRET}`, rules, ...options })
  await app.listen({ port: 0, host: '127.0.0.1' })
  return { app, address: { host: '127.0.0.1', port: (app.server.address() as AddressInfo).port } }
}

/** A member of a room, and somebody who publishes into it. */
async function twoIn(t: Test, address: { host: string; port: number }, room: string) {
  const [reader, writer] = await Promise.all([connect(address, 'reader'), connect(address, 'writer')])
  t.teardown(() => [reader, writer].map((client) => client.socket.destroy()))
  await Promise.all([reader.join(room), writer.join(room)])
  return { reader, writer }
}

t.test('without an SDK', async (t) => {
  const { app, address } = await listening(t)
  t.equal(Object.getPrototypeOf(app.hub), Hub.prototype, 'the hub is the plain one')
  t.notOk(app.bridge instanceof TracedBridge)
  const { reader, writer } = await twoIn(t, address, 'traced.1')
  await writer.publish('traced.1', 1)
  t.notOk('traceparent' in (await reader.next('message')), 'there is none unless the sender names one')
  await writer.publish('traced.1', 2, { traceparent: SENT })
  t.equal((await reader.next('message')).traceparent, SENT, 'what the sender named goes out')
  t.match(await writer.publish('traced.1', 3, { traceparent: SENT, keep: false }), { type: 'ack' })
  t.equal((await reader.next('message')).traceparent, SENT, 'also of what is not kept')
  const { messages } = await reader.request({ type: 'history', room: 'traced.1' })
  t.strictSame(
    (messages as { traceparent?: string }[]).map(({ traceparent }) => traceparent),
    [undefined, SENT],
    'the history has it',
  )
  const other = await twoIn(t, address, 'plain.1')
  await other.writer.publish('plain.1', 3, { traceparent: SENT })
  t.notOk('traceparent' in (await other.reader.next('message')), 'only where the rule says so')
  for (const traceparent of [
    '',
    `ff-${TRACE}-b7ad6b7169203331-01`,
    `00-${'0'.repeat(32)}-b7ad6b7169203331-01`,
    `00-${TRACE}-${'0'.repeat(16)}-01`,
    SENT.toUpperCase(),
    `${SENT}","room":"x`,
    7,
    null,
  ])
    t.match(
      await writer.request({ type: 'message', room: 'traced.1', content: 1, traceparent }),
      { type: 'error', code: 'bad_envelope' },
      `${traceparent} is none`,
    )

  await t.test('a publish over HTTP has it from the header or from the body', async (t) => {
    const post = (path: string, body: object, headers = {}) =>
      callApi(address, { method: 'POST', path, body, headers })
    await reader.fence()
    await post('/rooms/traced.1/messages', { content: 4 }, { traceparent: SENT })
    t.equal((await reader.next('message')).traceparent, SENT)
    const own = SENT.replace('b7ad', 'aaaa')
    await post('/rooms/traced.1/messages', { content: 5, traceparent: own }, { traceparent: SENT })
    t.equal((await reader.next('message')).traceparent, own, 'the body says it better')
    await post('/messages', { rooms: ['traced.1'], content: 6 }, { traceparent: SENT })
    t.equal((await reader.next('message')).traceparent, SENT)
    await post('/rooms/traced.1/messages', { content: 7 }, { traceparent: 'rubbish' })
    t.notOk('traceparent' in (await reader.next('message')), 'a header that is none counts for nothing')
    t.match(await post('/rooms/traced.1/messages', { content: 8, traceparent: 'rubbish' }), { status: 400 })
  })

  await t.test('the app publishes with one', async (t) => {
    await app.hub.publish('traced.1', 9, { traceparent: SENT })
    t.match(await reader.next('message'), { content: 9, traceparent: SENT })
    await t.rejects(app.hub.publish('traced.1', 9, { traceparent: 'rubbish' }), TypeError)
  })
})

t.test('with an SDK', async (t) => {
  const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
  provider.register()
  t.teardown(() => provider.shutdown())
  t.beforeEach(() => exporter.reset())
  const { app, address } = await listening(t)
  const { reader, writer } = await twoIn(t, address, 'traced.1')

  await t.test('a publish is a span, a child of what the sender named, and members see it', async (t) => {
    await writer.publish('traced.1', 'hello', { traceparent: SENT })
    const seen = await reader.next('message')
    const [span] = spans('publish traced.*')
    if (span === undefined) return t.fail('there is no span')
    t.equal(seen.traceparent, traceparentOf(span))
    t.equal(span.spanContext().traceId, TRACE)
    t.equal(span.parentSpanContext?.spanId, 'b7ad6b7169203331')
    t.equal(span.kind, SpanKind.PRODUCER)
    t.match(span.instrumentationScope, { name: 'roomcast', version: /^\d+\./ })
    t.strictSame(span.attributes, {
      'messaging.system': 'roomcast',
      'messaging.operation.name': 'publish',
      'messaging.operation.type': 'send',
      'messaging.client.id': writer.id,
      'messaging.message.body.size': 7,
      'messaging.destination.name': 'traced.1',
      'messaging.destination.template': 'traced.*',
      'roomcast.scope': 'cluster',
    })
    await writer.publish('traced.1', 'once', { key: 'k' })
    await writer.publish('traced.1', 'once', { key: 'k' })
    t.equal(spans('publish traced.*')[2]?.attributes['roomcast.duplicate'], true)
    t.match((await reader.next('message')).traceparent, /^00-/, 'where nothing was named a trace begins')
  })

  await t.test('the app’s own span is the parent', async (t) => {
    const span = trace.getTracer('app').startSpan('order')
    await context.with(trace.setSpan(ROOT_CONTEXT, span), () => app.hub.publish('traced.1', 1))
    span.end()
    t.equal(spans('publish traced.*')[0]?.parentSpanContext?.spanId, span.spanContext().spanId)
    await app.hub.broadcast(1)
    t.notOk('messaging.destination.name' in (spans('publish')[0]?.attributes ?? {}), 'to everybody')
  })

  await t.test('an upgrade is a span, and so is a stream, without the token', async (t) => {
    const headers = [`traceparent: ${SENT}`]
    const client = await connect(address, 'third', {}, { lines: headers })
    t.teardown(() => client.socket.destroy())
    const stream = new EventStream(`http://${address.host}:${address.port}/sse?token=${tokenFor('fourth')}`)
    t.teardown(() => stream.close())
    await stream.next('welcome')
    const [upgrade] = await pollUntil('a span', async () =>
      spans('GET /ws')[0] ? spans('GET /ws') : undefined,
    )
    if (upgrade === undefined) return t.fail('there is no span')
    t.equal(upgrade.spanContext().traceId, TRACE)
    t.strictSame(upgrade.attributes, {
      'http.request.method': 'GET',
      'http.route': '/ws',
      'url.path': '/ws',
      'network.protocol.version': '1.1',
      'http.response.status_code': 101,
      'messaging.client.id': client.id,
    })
    t.match(spans('GET /sse')[0]?.attributes, { 'http.response.status_code': 200 })
    await t.rejects(connect(address, 'x', {}, { token: 'none' }), /401/)
    const refused = await pollUntil('the refusal', async () => spans('GET /ws')[1])
    t.match(refused?.attributes, { 'http.response.status_code': 401 })
    t.notMatch(JSON.stringify(exporter.getFinishedSpans().map((one) => one.attributes)), /token|eyJ/)
  })

  await t.test('over Redis the wait for it is a child of the publish', async (t) => {
    const redis = await startRedis()
    t.teardown(() => redis.stop())
    const { address } = await listening(t, { redisUrl: redis.url })
    const { reader, writer } = await twoIn(t, address, 'traced.2')
    t.ok(spans('bridge subscribe').length > 0, 'a join waits for its subscription')
    await writer.publish('traced.2', 1)
    const seen = await reader.next('message')
    const [publish] = spans('publish traced.*')
    const [bridge] = spans('bridge publish')
    if (publish === undefined || bridge === undefined) return t.fail('there are not both')
    t.equal(seen.traceparent, traceparentOf(publish))
    t.equal(bridge.parentSpanContext?.spanId, publish.spanContext().spanId)
    t.match(bridge.attributes, {
      'messaging.system': 'redis',
      'messaging.operation.name': 'publish',
      'messaging.destination.name': 'traced.2',
    })
    await reader.request({ type: 'history', room: 'traced.2' })
    t.equal(spans('bridge replay').at(-1)?.attributes['messaging.operation.type'], 'receive')
  })
})

t.test('a server of its own, with the file of docs/OPERATIONS.md', async (t) => {
  const bodies: string[] = []
  const collector = createServer((request, response) => {
    request.setEncoding('utf8').on('data', (part: string) => bodies.push(part))
    request.on('end', () => response.setHeader('content-type', 'application/json').end('{}'))
  })
  collector.listen(0, '127.0.0.1')
  await once(collector, 'listening')
  t.teardown(() => collector.close())
  const [, file = ''] =
    /```js\n(\/\/ otel\.mjs\n[\s\S]*?)```/.exec(readFileSync('docs/OPERATIONS.md', 'utf8')) ?? []
  const directory = t.testdir({ 'otel.mjs': file })
  const server = await startServer({
    NODE_OPTIONS: `--import=${directory}/otel.mjs`,
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${(collector.address() as AddressInfo).port}`,
    OTEL_BSP_SCHEDULE_DELAY: '50',
  })
  t.teardown(() => server.stop())
  const client = await connect(server, 'ada')
  await client.join('r')
  await client.publish('r', 'a secret word')
  const all = await pollUntil('the spans', () => {
    const text = bodies.join('')
    return ['"roomcast"', '"GET /ws"', '"publish *"'].every((part) => text.includes(part)) ? text : undefined
  })
  t.notMatch(all, /a secret word|eyJ|token=/)
  await client.close()
})
