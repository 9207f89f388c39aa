// Whatever is sent to the API is answered, soon, and never with 500.
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { jsonSchemaOf } from '../../src/protocol/json-schema.ts'
import { type Operation, operations } from '../../src/protocol/openapi.ts'
import { API_SECRET, callApi } from '../support/api.ts'
import { cpuWait } from '../support/cpu-wait.ts'
import { allowedBy } from '../support/schema-arbitrary.ts'
import { startServer } from '../support/server.ts'

const server = await startServer({
  API_KEYS: `all:${API_SECRET}`,
  MAX_MESSAGE_BYTES: '2000',
  MAX_NESTING: '8',
})
t.teardown(() => server.stop())

const name = fc.oneof(
  fc.constantFrom(
    'r',
    '__proto__',
    'constructor',
    '%',
    '..',
    'a/b',
    '\u0000',
    'x'.repeat(129),
    '\u{1f600}',
    ' ',
  ),
  fc.string({ maxLength: 300 }),
)
/** Percent-encoded, or as it is where that is a target. */
const segment = fc.oneof(
  name.map((text) => encodeURIComponent(text)),
  fc.constantFrom('%', '%zz', '%ff', '%00', '', '.', '..', 'a'.repeat(3000), '*', ':room'),
)
const path = fc.oneof(
  fc
    .tuple(fc.constantFrom('rooms', 'users', 'clients', 'tokens', 'nothing'), segment, segment, segment)
    .chain((parts) => fc.integer({ min: 1, max: 4 }).map((count) => `/${parts.slice(0, count).join('/')}`)),
  segment.map((room) => `/rooms/${room}/messages`),
  segment.map((user) => `/users/${user}/${'revoke'}`),
  fc.constantFrom('/rooms/r/messages', '/messages', '/cluster', '/rooms', '/', ''),
)
const query = fc.oneof(
  fc.constant(''),
  fc
    .array(fc.tuple(fc.constantFrom('prefix', 'after', 'limit', 'since', 'x'), name), { maxLength: 3 })
    .map((pairs) => `?${pairs.map(([key, value]) => `${key}=${encodeURIComponent(value)}`).join('&')}`),
)
const fields = fc.record(
  {
    content: fc.jsonValue(),
    key: fc.oneof(fc.string(), fc.jsonValue()),
    keep: fc.oneof(fc.boolean(), fc.jsonValue()),
    exclude: fc.oneof(fc.string(), fc.jsonValue()),
    user: fc.oneof(name, fc.jsonValue()),
    rooms: fc.oneof(fc.array(name, { maxLength: 3 }), fc.jsonValue()),
    users: fc.oneof(fc.array(name, { maxLength: 3 }), fc.jsonValue()),
    broadcast: fc.oneof(fc.constant(true), fc.jsonValue()),
    reason: fc.oneof(fc.string(), fc.jsonValue()),
    issuedBefore: fc.jsonValue(),
    expiresAt: fc.jsonValue(),
    __proto__x: fc.jsonValue(),
  },
  { requiredKeys: [] },
)
const body = fc.oneof(
  fc.constant(undefined),
  fields.map((one) => JSON.stringify(one)),
  // What is good, so that not all is refused for its body.
  fc.jsonValue({ maxDepth: 1 }).map((content) => JSON.stringify({ content })),
  fc.array(fields, { maxLength: 4 }).map((list) => JSON.stringify(list)),
  fc.uint8Array({ maxLength: 50 }).map((bytes) => Buffer.from(bytes)),
  fc.string(),
  fc.constantFrom(
    ...[
      '',
      '{',
      '[]',
      'null',
      '"x"',
      '{"content":}',
      '{"content":1}x',
      '\ufeff{"content":1}',
      '{"content":"\\ud800"}',
    ],
    ...[
      '[[[[[[[[[[1]]]]]]]]]]',
      `{"content":${'['.repeat(5000)}${']'.repeat(5000)}}`,
      '{"content":1,"content":2}',
    ],
    ...[`{"content":"${'x'.repeat(1990)}"}`, `{"content":"${'x'.repeat(3000)}"}`, 'x'.repeat(2_000_000)],
  ),
)
const method = fc.constantFrom(
  'GET',
  'GET',
  'POST',
  'POST',
  'DELETE',
  'PUT',
  'PATCH',
  'HEAD',
  'OPTIONS',
  'QUERY',
)
const type = fc.constantFrom(
  'application/json',
  'application/json',
  'application/json',
  'application/json; charset=utf-16',
  'text/plain',
  'x',
  'multipart/form-data',
  '',
)
const encoding = fc.constantFrom('identity', 'identity', 'gzip', 'br')

/** What has been answered, and how long the slowest took without waiting for a CPU. */
class Answers {
  readonly statuses = new Map<number, number>()
  slowestMs = 0
  slowest = ''

  count(status: number): number {
    return this.statuses.get(status) ?? 0
  }

  /** Throws where it is not answered as it should be. */
  async to(call: Parameters<typeof callApi>[1]): Promise<number> {
    const waited = cpuWait(server)
    const startMs = performance.now()
    // Node may end the connection of what is too large while it is still sent.
    const answer = await callApi(server, call).catch((error: NodeJS.ErrnoException) => error)
    if (answer instanceof Error) {
      if (['EPIPE', 'ECONNRESET'].includes(answer.code ?? '')) return 0
      throw answer
    }
    const tookMs = performance.now() - startMs - waited()
    if (tookMs > this.slowestMs) {
      this.slowestMs = tookMs
      this.slowest = `${Math.round(tookMs)} ms: ${call.method} ${call.path.slice(0, 100)}`
    }
    const { status, headers, body, text } = answer
    this.statuses.set(status, this.count(status) + 1)
    // Ahead of the API: a target that cannot be decoded.
    const isProblem = body?.error === 'bad_request' ? status === 400 : body?.status === status && body.code
    const isRight = status < 400 || (status !== 500 && (call.method === 'HEAD' || isProblem))
    if (!isRight) throw new Error(`${status} ${JSON.stringify(headers)} ${text}`)
    if (text.includes(API_SECRET)) throw new Error(`the secret: ${text}`)
    return status
  }
}

/** No answer is slow, nothing is logged as a fault, and nobody and nothing is left behind. */
async function isUnharmed(t: Test, answers: Answers): Promise<void> {
  t.comment(JSON.stringify([...answers.statuses]))
  t.ok(answers.slowestMs < 250, answers.slowest)
  t.match(await server.health(), { code: 200, clients: 0, rooms: 0 })
  t.strictSame(
    server.logs.filter(({ level }) => Number(level) >= 50),
    [],
  )
  t.equal(server.stderr, '')
  t.notMatch(server.output, API_SECRET)
}

t.test('rubbish of all kinds is a problem, and no fault of the server', async (t) => {
  const answers = new Answers()
  const requests = fc.asyncProperty(
    ...([method, path, query, body, type, encoding] as const),
    async (method, path, query, body, type, encoding) => {
      const headers = {
        ...(type !== '' && { 'content-type': type }),
        ...(encoding !== 'identity' && { 'content-encoding': encoding }),
      }
      await answers.to({ method, path: path + query, headers, ...(body !== undefined && { body }) })
    },
  )
  await fc.assert(requests, { numRuns: 600 })
  await isUnharmed(t, answers)
})

/** An operation with what its schemas say, or nearly so. */
function callOf({ method, path, query, body }: Operation, nearly: boolean) {
  const names = fc.string({ minLength: 1, maxLength: 64 })
  const parts = path.split('/').map((part) => (part.startsWith('{') ? names.map(encodeURIComponent) : part))
  const target = fc
    .tuple(...parts.map((part) => (typeof part === 'string' ? fc.constant(part) : part)))
    .map((all) => all.join('/'))
  const asked = query === undefined ? fc.constant({}) : allowedBy(jsonSchemaOf(query, 'input'), nearly)
  const sent = body === undefined ? fc.constant(undefined) : allowedBy(jsonSchemaOf(body, 'input'), nearly)
  return fc.tuple(target, asked, sent).map(([target, asked, sent]) => {
    const pairs = Object.entries(asked ?? {}).map(([name, value]): [string, string] => [name, String(value)])
    const search = new URLSearchParams(pairs).toString()
    const text = sent === undefined ? {} : { body: JSON.stringify(sent) }
    return { method: method.toUpperCase(), path: `${target}${search === '' ? '' : `?${search}`}`, ...text }
  })
}

t.test('each operation takes what its schema says, and answers what it nearly says', async (t) => {
  const answers = new Answers()
  for (const operation of operations) {
    const name = `${operation.method} ${operation.path}`
    const good = new Answers()
    await fc.assert(
      fc.asyncProperty(callOf(operation, false), async (call) => void (await good.to(call))),
      { numRuns: 100 },
    )
    // Nobody is there to be told of, and rules between fields are in no schema.
    const status = operation.path === '/clients/{client}' ? 404 : 200
    t.ok(good.count(status) > 0, `${name}: ${JSON.stringify([...good.statuses])}`)
    await isUnharmed(t, good)
    await fc.assert(
      fc.asyncProperty(callOf(operation, true), async (call) => void (await answers.to(call))),
      { numRuns: 40 },
    )
  }
  t.ok(answers.count(400) > 10, 'some of it was bad')
  await isUnharmed(t, answers)
})
