// Whatever is sent to the API is answered, soon, and never with 500.
import fc from 'fast-check'
import t from 'tap'
import { API_SECRET, callApi } from '../support/api.ts'
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

t.test('rubbish of all kinds is a problem, and no fault of the server', async (t) => {
  let slowestMs = 0
  const statuses = new Map<number, number>()
  const answered = async (call: Parameters<typeof callApi>[1]) => {
    const startMs = performance.now()
    // Node may end the connection of what is too large while it is still sent.
    const answer = await callApi(server, call).catch((error: NodeJS.ErrnoException) => error)
    if (answer instanceof Error) {
      if (['EPIPE', 'ECONNRESET'].includes(answer.code ?? '')) return
      throw answer
    }
    slowestMs = Math.max(slowestMs, performance.now() - startMs)
    const { status, headers, body } = answer
    statuses.set(status, (statuses.get(status) ?? 0) + 1)
    // Ahead of the API: a target that cannot be decoded.
    const isProblem = body?.error === 'bad_request' ? status === 400 : body?.status === status && body.code
    const isRight = status < 400 || (status !== 500 && (call.method === 'HEAD' || isProblem))
    if (!isRight) throw new Error(`${status} ${JSON.stringify(headers)} ${answer.text}`)
  }
  await fc.assert(
    fc.asyncProperty(
      method,
      path,
      query,
      body,
      type,
      encoding,
      async (method, path, query, body, type, encoding) => {
        const headers = {
          ...(type !== '' && { 'content-type': type }),
          ...(encoding !== 'identity' && { 'content-encoding': encoding }),
        }
        return answered({ method, path: path + query, headers, ...(body !== undefined && { body }) })
      },
    ),
    { numRuns: 600 },
  )
  t.comment(JSON.stringify([...statuses]))
  t.ok((statuses.get(200) ?? 0) > 0, 'some of it was good')
  t.ok(slowestMs < 2000, `the slowest took ${Math.round(slowestMs)} ms`)
  t.match(await server.health(), { code: 200, clients: 0 })
  t.strictSame(
    server.logs.filter(({ level }) => Number(level) >= 50),
    [],
  )
  t.equal(server.stderr, '')
})
