// The client as it is built, against real servers.
import { readFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import { API_SECRET } from '../../test/support/api.ts'
import { startRedis } from '../../test/support/redis.ts'
import { type Env, type Server, startServer } from '../../test/support/server.ts'
import { tokenFor } from '../../test/support/token.ts'
import { pollUntil } from '../../test/support/until.ts'
import { connect } from '../src/index.ts'
import type { Hub, HubOptions, State } from '../src/types.ts'

const RULES = JSON.stringify([{ match: '*', presence: { lingerMs: 0, intervalMs: 10 } }])

function hubAt(t: Test, server: Server, user: string, options: Partial<HubOptions> = {}) {
  const hub = connect(server.url('/'), {
    token: () => tokenFor(user),
    WebSocket: WebSocket as unknown as NonNullable<HubOptions['WebSocket']>,
    ...options,
  })
  t.teardown(() => hub.close())
  return hub
}

async function serverFor(t: Test, env: Env = {}) {
  const server = await startServer({ ROOM_RULES: RULES, ...env })
  t.teardown(() => server.stop())
  return server
}

const stateOf = (hub: Hub) => hub.state.name
const until = (what: string, isSo: () => boolean) => pollUntil(what, () => isSo() || undefined)

t.test('join, publish, presence, history, calls', async (t) => {
  const server = await serverFor(t)
  const [ada, bob] = [hubAt(t, server, 'ada'), hubAt(t, server, 'bob')]
  const [a, b] = [ada.room('r', { presence: true }), bob.room('r')]
  const seen: unknown[] = []
  a.on('message', ({ content, from }) => seen.push([from.user, content]))
  t.match(await b.publish({ n: 1 }), { scope: 'cluster', offset: 1 })
  t.match(await a.publish('own'), { offset: 2 })
  await until('both are seen', () => seen.length === 2)
  t.strictSame(seen, [
    ['bob', { n: 1 }],
    ['ada', 'own'],
  ])
  await until('both are here', () => a.count === 2)
  t.same(a.users?.map(({ user }) => user).sort(), ['ada', 'bob'])
  await b.publish('cursor', { keep: false })
  await until('it is seen', () => seen.length === 3)
  t.match(await a.history({ limit: 1 }), [{ content: 'own', offset: 2 }])
  await t.rejects(ada.call('none'), { code: 'unknown_method' })
  b.leave()
  await until('bob has left', () => a.count === 1)
})

t.test('a connection that is cut comes back, and nothing is missing', async (t) => {
  const server = await serverFor(t)
  const sockets: WebSocket[] = []
  class Cuttable extends WebSocket {
    constructor(url: string) {
      super(url)
      sockets.push(this)
    }
  }
  const reader = hubAt(t, server, 'reader', { WebSocket: Cuttable as never })
  const writer = hubAt(t, server, 'writer')
  const seen: unknown[] = []
  const inRoom = reader.room('r')
  inRoom.on('message', ({ content }) => seen.push(content))
  const room = writer.room('r')
  for (let n = 1; n <= 60; n++) {
    await room.publish(n)
    if (n % 15 !== 5) continue
    await until('it is in the room', () => inRoom.isJoined)
    sockets.at(-1)?.terminate()
  }
  await until('all are seen', () => seen.length >= 60)
  t.strictSame(
    seen,
    Array.from({ length: 60 }, (_, n) => n + 1),
  )
  t.ok(sockets.length >= 4)
})

t.test('a rolling restart of two nodes: no gap, nothing lost, nothing twice', async (t) => {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  const env = { REDIS_URL: redis.url, ROOM_RULES: '' }
  let [one, two] = await Promise.all([startServer(env), startServer(env)])
  t.teardown(() => Promise.all([one.stop(), two.stop()]))
  /** As a balancer would: whichever node is ready. */
  let ready = one
  class Balanced extends WebSocket {
    constructor(url: string) {
      const { host, port } = ready
      const to = new URL(url)
      to.host = `${host}:${port}`
      super(to.href)
    }
  }
  const [reader, writer] = ['reader', 'writer'].map((user) =>
    hubAt(t, one, user, { WebSocket: Balanced as never }),
  )
  if (reader === undefined || writer === undefined) return
  const states: State['name'][] = []
  const seen: unknown[] = []
  let lastAt = performance.now()
  let gapMs = 0
  reader.room('r').on('message', ({ content }) => {
    seen.push(content)
    gapMs = Math.max(gapMs, performance.now() - lastAt)
    lastAt = performance.now()
  })
  const room = writer.room('r')
  await room.publish(0)
  for (const hub of [reader, writer]) hub.on('state', ({ name }) => states.push(name))
  let n = 0
  let isOn = true
  const publishing = (async () => {
    while (isOn) {
      await room.publish(++n)
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  })()
  ready = two
  await one.stop()
  one = await startServer(env)
  ready = one
  await two.stop()
  isOn = false
  await publishing
  await until('all are seen', () => seen.length >= n + 1)
  t.strictSame(
    seen,
    Array.from({ length: n + 1 }, (_, at) => at),
  )
  t.strictSame(
    states.filter((name) => name !== 'open'),
    [],
    'nobody was told of a connection lost',
  )
  t.comment(`longest gap ${Math.round(gapMs)} ms among ${n} messages`)
  two = one
})

t.test('where WebSockets are blocked, an event stream and HTTP do', async (t) => {
  const server = await serverFor(t, { API_KEYS: `k:${API_SECRET}` })
  class Blocked extends EventTarget {
    onclose: ((event: object) => void) | undefined
    constructor() {
      super()
      setTimeout(() => this.onclose?.({ code: 1006, reason: '' }), 1)
    }
    close() {}
  }
  const hub = hubAt(t, server, 'ada', { WebSocket: Blocked as never })
  const [r, s] = [hub.room('r', { presence: true }), hub.room('s')]
  const seen: [string, unknown][] = []
  for (const room of [r, s]) room.on('message', ({ content }) => seen.push([room.name, content]))
  t.match(await r.publish({ n: 1 }), { scope: 'cluster', offset: 1 })
  t.match(hub.state, { name: 'open', transport: 'stream' })
  await s.publish('two')
  await until('both are seen', () => seen.length === 2)
  const late = hub.room('late')
  late.on('message', ({ content }) => seen.push(['late', content]))
  const other = hubAt(t, server, 'bob')
  await other.room('late').publish('three')
  await other.room('r').publish('four')
  await late.publish('five')
  await until('the rest is seen', () => seen.length === 5)
  t.same(
    seen.filter(([room]) => room === 'late'),
    [
      ['late', 'three'],
      ['late', 'five'],
    ].filter(([, content]) => seen.some(([, one]) => one === content)),
  )
  t.match(seen.slice(0, 2), [
    ['r', { n: 1 }],
    ['s', 'two'],
  ])
  await until('both are here', () => r.count === 2)
  await t.rejects(hub.call('x'), { code: 'unavailable' })
  late.leave()
  t.equal(stateOf(hub), 'open')
})

t.test('a page loads the client from the server, outside production', async (t) => {
  const server = await serverFor(t, { METRICS: 'false' })
  const answer = await fetch(server.url('/client.js'))
  t.equal(answer.headers.get('content-type'), 'text/javascript; charset=utf-8')
  t.equal(await answer.text(), readFileSync('client/dist/index.js', 'utf8'))
  const headers = { 'if-none-match': answer.headers.get('etag') ?? '' }
  t.equal((await fetch(server.url('/client.js'), { headers })).status, 304)
  t.equal((await fetch(server.url('/client-fallback.js'))).status, 200)
  const production = await serverFor(t, { NODE_ENV: 'production' })
  t.equal((await fetch(production.url('/client.js'))).status, 404)
})
