// The HTTP API on two nodes and one Redis: what is published, read and done from one of them holds for both.
import { readFileSync } from 'node:fs'
import { Validator } from '@seriousme/openapi-schema-validator'
import Fastify from 'fastify'
import t from 'tap'
import roomcast from '../../src/app.ts'
import { operations } from '../../src/protocol/openapi.ts'
import { API_SECRET, callApi } from '../support/api.ts'
import { connect } from '../support/client.ts'
import { EventStream } from '../support/event-stream.ts'
import { startNodes } from '../support/nodes.ts'
import { RawSocket } from '../support/raw-socket.ts'
import { startRedis } from '../support/redis.ts'
import { type Server, startServer } from '../support/server.ts'
import { SECRET, tokenFor } from '../support/token.ts'
import { pollUntil } from '../support/until.ts'

const ROOM_RULES = JSON.stringify([
  { match: 'news', publish: 'server' },
  { match: 'slow', rate: { perSecond: 0.01, burst: 1 } },
  { match: 'none', history: { size: 0 } },
])
const API_KEYS = JSON.stringify([
  { name: 'all', secret: API_SECRET },
  { name: 'other', secret: 'another-secret-of-it' },
  { name: 'news', secret: 'the-secret-of-the-news', can: { publish: ['news*'] } },
])
const redis = await startRedis()
t.teardown(() => redis.stop())
const [one, two] = (await startNodes(t, 2, {
  ...{ REDIS_URL: redis.url, API_KEYS, ROOM_RULES, ALLOWED_ORIGINS: 'https://page.example' },
  ...{ MESSAGE_RATE: '2', MESSAGE_BURST: '40' },
})) as [Server, Server]
const everywhere = { asked: 2, answered: 2, missing: [] }

t.test('a message goes to the members on all nodes, byte for byte', async (t) => {
  const a = await connect(two, 'ada')
  await a.join('r')
  const raw = await RawSocket.upgrade(two, `/ws?token=${tokenFor('raw', { rooms: ['r'] })}`)
  await raw.frame('joined', ({ payload }) => payload.includes('"joined"'))
  const body = '{"key":"k 1", "content" : {"big":9007199254740993,"n":[1.0, 2e2]} }'
  const path = '/rooms/r/messages'
  const { status, body: answer } = await callApi(one, { path, body })
  t.equal(status, 200)
  t.strictSame(answer, { scope: 'cluster', offset: 1 })
  const text = await raw.frame('the message', ({ payload }) => payload.includes('"message"'))
  t.match(text.payload.toString(), '"content":{"big":9007199254740993,"n":[1.0, 2e2]}')
  raw.destroy()
  t.match(await a.next('message'), { room: 'r', offset: 1, from: { user: 'server', app: true } })
  t.strictSame((await callApi(two, { path, body })).body, { scope: 'cluster', offset: 1, duplicate: true })
  const other = await callApi(two, { path, body, secret: 'another-secret-of-it' })
  t.strictSame(other.body, { scope: 'cluster', offset: 2 }, "another key's words are its own")
  await a.next('message')
  const unkept = { content: 1, keep: false, user: 'bot', exclude: String(a.welcome.client) }
  t.strictSame((await callApi(one, { path, body: unkept })).body, { scope: 'cluster' })
  await callApi(one, { path, body: { content: 2, user: 'bot' } })
  t.match(await a.next('message'), { content: 2, from: { user: 'bot' } }, 'the one before was not for it')
  await a.close()
})

t.test('to many rooms, to users and to everybody, in a list too: one answer each', async (t) => {
  const [a, b] = [await connect(one, 'ada'), await connect(two, 'bob')]
  await a.join('r1')
  await b.join('r2')
  const { body } = await callApi(one, {
    path: '/messages',
    body: '[{"rooms":["r1","r2"],"content":[ 1 ]},{"users":["bob","eve"],"content":2},{"broadcast":true,"content":3}]',
  })
  t.match(body, [
    {
      results: [
        { room: 'r1', scope: 'cluster', offset: 1 },
        { room: 'r2', scope: 'cluster', offset: 1 },
      ],
    },
    { results: [{ users: ['bob', 'eve'], scope: 'cluster', clients: 1, nodes: everywhere }] },
    { results: [{ broadcast: true, scope: 'cluster' }] },
  ])
  for (const [client, contents] of [
    [a, [[1], 3]],
    [b, [[1], 2, 3]],
  ] as const) {
    const got = await pollUntil('all have come', () => {
      const messages = client.received.filter(({ type }) => type === 'message')
      return messages.length === contents.length ? messages : undefined
    })
    // What goes to users has an order of its own.
    t.same(
      new Set(got.map(({ content }) => JSON.stringify(content))),
      new Set(contents.map((one) => JSON.stringify(one))),
    )
  }
  await Promise.all([a.close(), b.close()])
})

t.test('a key may do what its can says, and a user what its token and the rules say', async (t) => {
  const publish = async (room: string, secret: string, more: object = {}) => {
    const { status, body, headers } = await callApi(one, {
      path: `/rooms/${room}/messages`,
      body: { content: 1, ...more },
      secret,
    })
    return { status, code: body.code, retry: headers['retry-after'] }
  }
  const news = 'the-secret-of-the-news'
  t.match(await publish('news', news, { user: 'ada' }), { status: 200 })
  t.match(await publish('other', news), { status: 403, code: 'forbidden' })
  t.match(await callApi(one, { path: '/cluster', secret: news }), {
    status: 403,
    body: { code: 'forbidden' },
  })
  const token = tokenFor('ada', { can: { publish: ['r', 'news', 'slow', 'none'] } })
  t.match(await publish('r', token), { status: 200 }, 'nobody has to be a member')
  t.match(await publish('other', token), { status: 403, code: 'forbidden' })
  t.match(await publish('news', token), { status: 403, code: 'forbidden' }, 'only the server does')
  t.match(await publish('r', token, { user: 'bob' }), { status: 403, code: 'forbidden' })
  t.match(await publish('slow', token), { status: 200 })
  t.match(await publish('slow', token), { status: 429, code: 'rate_limited', retry: '100' })
  t.match(await callApi(one, { path: '/rooms', secret: token }), { status: 403, body: { code: 'forbidden' } })
  const [own, others] = [await connect(two, 'ada'), await connect(two, 'bob')]
  t.match(await publish('r', token, { exclude: own.welcome.client }), { status: 200 })
  t.match(await publish('r', token, { exclude: others.welcome.client }), { status: 403, code: 'forbidden' })
  const admin = tokenFor('root', { can: { admin: true } })
  t.match(await callApi(one, { path: '/cluster', secret: admin }), { status: 200 })
  let limited = 0
  for (let n = 0; n < 50; n++) if ((await publish('none', token)).status === 429) limited++
  t.ok(limited > 0, 'users may send what their sockets may')
  await Promise.all([own.close(), others.close()])
})

t.test('who shows no secret, or one that is none, is nobody', async (t) => {
  for (const secret of ['', 'x', `${API_SECRET}x`, tokenFor('ada', { exp: 1 })]) {
    const { status, headers, body } = await callApi(one, { path: '/cluster', secret })
    t.match(
      { status, headers, body },
      { status: 401, headers: { 'www-authenticate': 'Bearer' }, body: { code: 'unauthorized' } },
    )
  }
  t.equal(
    (await callApi(one, { path: `/cluster?token=${tokenFor('a', { can: { admin: true } })}`, secret: '' }))
      .status,
    401,
  )
  const none = await startServer()
  t.teardown(() => none.stop())
  t.equal((await callApi(none, { path: '/cluster' })).status, 404, 'without keys there is no API')
})

t.test('a compressed body is refused as such, and one that says identity is read', async (t) => {
  const call = { path: '/rooms/r/messages', body: { content: 1 } }
  t.match(await callApi(one, { ...call, headers: { 'content-encoding': 'gzip' } }), {
    status: 415,
    headers: { 'accept-encoding': 'identity' },
    body: { code: 'unsupported_media_type' },
  })
  t.match(await callApi(one, { ...call, headers: { 'content-encoding': 'identity' } }), { status: 200 })
})

t.test('rooms, members, users and clients are read from any node', async (t) => {
  const names = ['list a', 'list b', 'list/c', 'list ä']
  const [a, b, bob] = [await connect(one, 'ada'), await connect(two, 'ada'), await connect(two, 'bob')]
  for (const room of names) await a.join(room)
  for (const client of [b, bob]) await client.join('list b')
  const page = await callApi(two, { path: '/rooms?prefix=list&limit=2' })
  t.match(page.body, {
    rooms: [
      { room: 'list a', members: 1, users: 1 },
      { room: 'list b', members: 3, users: 2 },
    ],
    more: true,
    nodes: everywhere,
  })
  const rest = await callApi(two, { path: '/rooms?prefix=list&after=list%20b' })
  t.match(rest.body, { rooms: [{ room: 'list ä' }, { room: 'list/c' }], more: false })
  t.match((await callApi(one, { path: '/rooms/list%2Fc' })).body, { room: 'list/c', members: 1, users: 1 })
  const { body } = await callApi(one, { path: '/rooms/list%20b/members' })
  t.strictSame(
    {
      ...body,
      users: body.users.toSorted((x: { user: string }, y: { user: string }) => (x.user < y.user ? -1 : 1)),
    },
    {
      room: 'list b',
      count: 2,
      users: [
        { user: 'ada', clients: 2 },
        { user: 'bob', clients: 1 },
      ],
      more: false,
      scope: 'cluster',
      nodes: everywhere,
    },
  )
  const stream = new EventStream(`${two.url('/sse')}?room=list%20b&token=${tokenFor('ada')}`)
  await stream.next('joined')
  const user = await callApi(one, { path: '/users/ada' })
  t.same(
    new Set(user.body.clients.map(({ transport, node }: Record<string, string>) => `${transport} ${node}`))
      .size,
    3,
  )
  const client = await callApi(one, { path: `/clients/${b.welcome.client}` })
  t.match(client.body, {
    client: b.welcome.client,
    user: 'ada',
    rooms: ['list b'],
    transport: 'websocket',
    nodes: everywhere,
  })
  t.equal((await callApi(one, { path: '/clients/nobody' })).status, 404)
  const cluster = await callApi(one, { path: '/cluster' })
  t.match(cluster.body, {
    cluster: [{ bridge: { kind: 'redis', state: 'up' } }, {}],
    clients: 4,
    nodes: everywhere,
  })
  stream.close()
  await Promise.all([a.close(), b.close(), bob.close()])
})

t.test('history is read in pages, and says whether it is whole', async (t) => {
  for (let n = 1; n <= 5; n++) await callApi(one, { path: '/rooms/h/messages', body: { content: n } })
  const contents = ({ body }: { body: { messages: { content: unknown }[] } }) =>
    body.messages.map(({ content }) => content)
  const newest = await callApi(two, { path: '/rooms/h/messages?limit=2' })
  t.match(newest.body, { room: 'h', offset: 5 })
  t.strictSame(contents(newest), [4, 5])
  const since = `${newest.body.epoch}:1`
  const page = await callApi(two, { path: `/rooms/h/messages?limit=3&since=${since}` })
  t.strictSame(contents(page), [2, 3, 4])
  t.match(await callApi(two, { path: `/rooms/h/messages?since=gone:1` }), {
    body: { recovered: false, messages: [] },
  })
  t.match(await callApi(two, { path: '/rooms/none/messages' }), {
    status: 503,
    body: { code: 'unavailable' },
  })
})

t.test('users are removed, disconnected and revoked on all nodes', async (t) => {
  const [a, b] = [await connect(one, 'ada'), await connect(two, 'ada')]
  for (const client of [a, b]) await client.join('r')
  t.match((await callApi(one, { method: 'DELETE', path: '/rooms/r/members/ada' })).body, {
    scope: 'cluster',
    clients: 2,
    nodes: everywhere,
  })
  for (const client of [a, b]) t.match(await client.next('left'), { room: 'r', reason: 'removed' })
  t.match(
    (await callApi(one, { path: `/clients/${b.welcome.client}/disconnect`, body: { reason: 'bye' } })).body,
    { clients: 1 },
  )
  t.match(await b.closed(), { code: 4403, reason: 'bye' })
  t.match((await callApi(two, { method: 'POST', path: '/users/ada/disconnect' })).body, { clients: 1 })
  t.match(await a.closed(), { code: 4403, reason: 'disconnected' })
  const token = tokenFor('eve', { jti: 'id 1' })
  const eve = await connect(two, 'eve', {}, { token })
  t.match((await callApi(one, { method: 'POST', path: '/tokens/id%201/revoke' })).body, { clients: 1 })
  t.match(await eve.closed(), { code: 4403, reason: 'revoked' })
  t.equal(
    (await callApi(one, { path: '/rooms/r/messages', body: { content: 1 }, secret: token })).status,
    401,
  )
  t.match((await callApi(one, { path: '/users/eve/revoke', body: { issuedBefore: 1 } })).body, { clients: 0 })
})

t.test('a page of an origin that may connect may call, and another may not', async (t) => {
  const origin = 'https://page.example'
  const preflight = { origin, 'access-control-request-method': 'POST' }
  const allowed = await callApi(one, { method: 'OPTIONS', path: '/messages', secret: '', headers: preflight })
  t.match(allowed, {
    status: 204,
    headers: {
      'access-control-allow-origin': origin,
      'access-control-allow-headers': /authorization.*traceparent/,
    },
  })
  t.match(await callApi(one, { path: '/cluster', headers: { origin } }), {
    status: 200,
    headers: { 'access-control-allow-origin': origin },
  })
  t.match(await callApi(one, { path: '/cluster', headers: { origin: 'https://x.example' } }), {
    status: 403,
    body: { code: 'origin_refused' },
  })
  t.match(await callApi(one, { method: 'PUT', path: '/messages', body: {} }), {
    status: 405,
    headers: { allow: 'POST' },
    body: { code: 'method_not_allowed' },
  })
})

t.test('a frozen node delays an answer by a second, and is named', async (t) => {
  const { node } = await two.health()
  two.signal('SIGSTOP')
  t.teardown(() => two.signal('SIGCONT'))
  const startMs = performance.now()
  const { status, body } = await callApi(one, { path: '/cluster' })
  const tookMs = performance.now() - startMs
  two.signal('SIGCONT')
  t.equal(status, 200)
  t.strictSame(body.nodes, { asked: 2, answered: 1, missing: [node] })
  t.ok(tookMs > 900 && tookMs < 3000, `${Math.round(tookMs)} ms`)
})

t.test(
  'without Redis an answer says that it is one node’s alone, also when the others are forgotten',
  async (t) => {
    const [own, others] = [await connect(one, 'ada'), await connect(two, 'bob')]
    for (const client of [own, others]) await client.join('split')
    await redis.kill()
    t.teardown(() => redis.start())
    await pollUntil('it is known', async () => (await one.health()).status === 'degraded')
    const alone = { scope: 'node', nodes: { answered: 1 } }
    const counts = { room: 'split', members: 1, users: 1, more: false }
    for (const [path, body] of [
      ['/rooms?prefix=split', { rooms: [{ room: 'split', members: 1 }] }],
      ['/rooms/split', counts],
      ['/rooms/split/members', { count: 1, users: [{ user: 'ada' }] }],
      ['/users/bob', { clients: [] }],
      [`/clients/${own.welcome.client}`, { user: 'ada' }],
      ['/cluster', { clients: 1 }],
    ] as const)
      t.match(await callApi(one, { path }), { status: 200, body: { ...body, ...alone } }, path)
    t.match(
      await callApi(one, { path: `/clients/${others.welcome.client}` }),
      { status: 503, body: { code: 'unavailable' } },
      'who is not here may be there',
    )
    const publish = { path: '/rooms/r/messages', secret: tokenFor('bob') }
    t.match(
      await callApi(one, { ...publish, body: { content: 1, exclude: others.welcome.client } }),
      { status: 503, body: { code: 'unavailable' } },
      'and so may its own client be',
    )
    await pollUntil(
      'the other node is forgotten',
      async () => {
        const { body } = await callApi(one, { path: '/rooms/split' })
        if (body.nodes.asked > 1) return false
        t.match(body, { ...counts, scope: 'node', nodes: { asked: 1, answered: 1, missing: [] } })
        return true
      },
      20_000,
    )
    await Promise.all([own.close(), others.close()])
  },
)

t.test('the OpenAPI document is valid, and has the routes that there are', async (t) => {
  const { status, body } = await callApi(one, { path: '/openapi.json', secret: '' })
  t.equal(status, 200)
  t.strictSame(
    `${JSON.stringify(body, undefined, 2)}\n`,
    readFileSync('docs/openapi.json', 'utf8'),
    'npm run specs',
  )
  const validator = new Validator()
  t.match(await validator.validate(body), { valid: true })
  t.equal(validator.version, '3.1')
  const app = Fastify()
  const routes: string[] = []
  app.addHook('onRoute', ({ method, url }) => {
    // Lists of methods are those that there are not.
    if (typeof method !== 'string' || method === 'HEAD' || !url.startsWith('/api/v1/')) return
    routes.push(`${method.toLowerCase()} ${url.slice('/api/v1'.length).replace(/:(\w+)/g, '{$1}')}`)
  })
  await app.register(roomcast, { jwtSecret: SECRET, apiKeys: API_KEYS })
  await app.ready()
  t.teardown(() => app.close())
  const documented = operations.map(({ method, path }) => `${method} ${path}`)
  t.strictSame(new Set(routes), new Set([...documented, 'get /openapi.json']))
  const page = await callApi(one, { path: '/docs', secret: '' })
  t.match(page.text, '/api/v1/rooms/{room}/messages')
})
