// Redis goes and comes back: B33 and B34, and what acks, joins and keys say meanwhile.
import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import { type Client, connect, type Envelope } from '../support/client.ts'
import { freePort } from '../support/free-port.ts'
import { bothDown, bothUp, HealthWatch, linksOf, saysLinks } from '../support/health-watch.ts'
import {
  BACK_MS,
  bothSay,
  isSound,
  isTidy,
  isWhole,
  keysLapse,
  linkLines,
  livedThrough,
  localLife,
  redisFor,
  relayFor,
  startNode,
  startPair,
  subscribers,
} from '../support/node-pair.ts'
import { contents } from '../support/recovery-contract.ts'
import { TestRedis } from '../support/redis.ts'
import { livesThrough } from '../support/redis-outage.ts'
import type { Server } from '../support/server.ts'
import { Traffic } from '../support/traffic.ts'
import { pace, pollUntil } from '../support/until.ts'

t.jobs = 3
/** BRIDGE_TIMEOUT_MS, the limiter's own wait, and a busy machine. */
const START_MS = 5000

/** A node that starts while Redis cannot be had: degraded, in time, and alive locally. */
async function startsDegraded(t: Test, url: string, secrets: string[] = []) {
  const node = await startNode(t, url)
  const [first, ...others] = node.logs.map(({ time }) => Number(time))
  const waitedMs = (others.at(-1) ?? 0) - (first ?? 0)
  t.ok(waitedMs < START_MS, `listens ${waitedMs} ms after it first said that Redis is down`)
  const watch = new HealthWatch(t, node)
  await saysLinks(node, bothDown)
  t.match(await node.health(), { code: 200, status: 'degraded' })
  const { scope } = await localLife(t, node, (round) => round >= 10)
  t.equal(scope, 'node', 'joined says that it holds on this node only')
  const verify = async () => {
    await watch.stop()
    watch.verify(t, secrets)
    isSound(t, [node])
    for (const secret of secrets) t.notOk(node.output.includes(secret), 'no secret in the log')
  }
  return { node, watch, verify }
}

/** Redis can be had since `backMs`: the node says so and its publishes go everywhere. */
async function comesUp(t: Test, node: Awaited<ReturnType<typeof startNode>>, backMs: number): Promise<void> {
  const tookMs = await saysLinks(node, bothUp, { sinceMs: backMs, withinMs: BACK_MS })
  t.ok(tookMs < BACK_MS, `up ${Math.round(tookMs)} ms after Redis`)
  const a = await connect(node, 'a')
  t.notOk((await a.join('after')).scope, 'a join is the whole cluster\u2019s again')
  t.match(await a.publish('after', 1), { scope: 'cluster' })
  await a.close()
}

t.test('B33 (a) started without Redis, which comes later', { buffered: true }, async (t) => {
  const redis = new TestRedis(await freePort())
  t.teardown(() => redis.stop())
  const { node, watch, verify } = await startsDegraded(t, redis.url)
  t.match(linksOf(await node.health()), { publisher: { reason: 'ECONNREFUSED' } })
  const waits = await connect(node, 'waits')
  t.match(await waits.join('r'), { scope: 'node' })
  for (const link of ['publisher', 'subscriber'])
    t.same(linkLines(node, link), ['redis is down ECONNREFUSED'], 'said once')
  watch.saysAllAlong(t, bothDown, 0)
  await redis.start()
  const backMs = performance.now()
  await comesUp(t, node, backMs)
  const other = await startNode(t, redis.url)
  const far = await connect(other, 'far')
  await far.join('r')
  await far.publish('r', 'for a room joined before Redis was there')
  await waits.next('message')
  await verify()
  await keysLapse(t, redis)
})

t.test('B33 (b) killed under load', { buffered: true }, async (t) => {
  const redis = await redisFor(t)
  await livesThrough(t, {
    redis,
    everyMs: 20,
    begin: () => redis.kill(),
    end: () => redis.start(),
    lastsMs: 4000,
    log: /ECONNREFUSED/,
  })
})

t.test(
  'B33 (c) an address that swallows everything: accepted, never answered',
  { buffered: true },
  async (t) => {
    const redis = await redisFor(t)
    const relay = await relayFor(t, redis.port)
    relay.freeze()
    const { node, verify } = await startsDegraded(t, relay.url)
    relay.heal()
    await comesUp(t, node, performance.now())
    await verify()
  },
)

t.test('B33 (c) an address that drops packets: no SYN is answered', { buffered: true }, async (t) => {
  // A full backlog of a frozen server drops SYNs, as a firewall does.
  const redis = await redisFor(t, ['--tcp-backlog', '1'])
  redis.freeze()
  const fillers = await Promise.all(Array.from({ length: 4 }, () => fill(t, redis.port)))
  const { node, verify } = await startsDegraded(t, redis.url)
  t.match(linksOf(await node.health()), { publisher: { reason: 'ETIMEDOUT' } })
  for (const filler of fillers) filler.disconnect()
  redis.thaw()
  await comesUp(t, node, performance.now())
  await verify()
})

function fill(t: Test, port: number): Redis {
  const client = new Redis(port, { retryStrategy: null, connectTimeout: 60_000 })
  client.on('error', () => {})
  t.teardown(() => client.disconnect())
  return client
}

t.test('B33 (d) a wrong password, then corrected', { buffered: true }, async (t) => {
  const redis = new TestRedis(await freePort(), ['--requirepass', 'not-that-one'])
  t.teardown(() => redis.stop())
  redis.login = { password: 'not-that-one' }
  await redis.start()
  const { node, verify } = await startsDegraded(t, `redis://:swordfish-1@127.0.0.1:${redis.port}`, [
    'swordfish-1',
    'not-that-one',
  ])
  t.match(linksOf(await node.health()), {
    publisher: { reason: 'WRONGPASS' },
    subscriber: { reason: 'WRONGPASS' },
  })
  await redis.command('CONFIG', 'SET', 'requirepass', 'swordfish-1')
  await comesUp(t, node, performance.now())
  await verify()
})

t.test('B33 (e) no place for another client, and then there is', { buffered: true }, async (t) => {
  const redis = await redisFor(t)
  const admin = new Redis(redis.port)
  t.teardown(() => admin.disconnect())
  await admin.config('SET', 'maxclients', 1)
  const { node, verify } = await startsDegraded(t, redis.url)
  t.match(linksOf(await node.health()), { publisher: { state: 'down' } })
  await admin.config('SET', 'maxclients', 100)
  await comesUp(t, node, performance.now())
  await verify()
})

t.test('B33 (f) a name that does not resolve', { buffered: true }, async (t) => {
  const { node, watch, verify } = await startsDegraded(t, 'redis://no-such-host.invalid:6379')
  t.match(linksOf(await node.health()).publisher.reason, /^ENOTFOUND$|^EAI_AGAIN$|time/)
  const { scope } = await localLife(t, node, (round) => round >= 20)
  t.equal(scope, 'node')
  watch.saysAllAlong(t, bothDown, 0)
  await verify()
})

for (const type of ['pubsub', 'normal'] as const) {
  t.test(`B34 CLIENT KILL TYPE ${type}`, { buffered: true }, async (t) => {
    const redis = await redisFor(t)
    const pair = await startPair(t, redis.url)
    const traffic = await Traffic.start(t, pair, { everyMs: 50 })
    await traffic.flows()
    await redis.command('CLIENT', 'KILL', 'TYPE', type)
    const backMs = performance.now()
    const wholeMs = await isWhole(t, pair, traffic, { backMs })
    await traffic.beats(20)
    await traffic.settle()
    traffic.verify(t, backMs)
    traffic.isLocallyFast(t, backMs - 50, wholeMs)
    await isTidy(t, redis, pair, { r: 2 })
  })
}

t.test(
  'B34 killed, and restarted after a second; rooms joined and left meanwhile',
  { buffered: true },
  async (t) => {
    const redis = await redisFor(t)
    const pair = await startPair(t, redis.url)
    const traffic = await Traffic.start(t, pair)
    const [a, c] = await Promise.all([connect(pair[0], 'a'), connect(pair[1], 'c')])
    for (const room of ['left', 'rejoined']) {
      await a.join(room)
      await c.join(room)
    }
    const crowd = await inManyRooms(pair[1], 300)
    await redis.kill()
    const downMs = performance.now()
    await bothSay(pair, bothDown, downMs)
    t.match(await c.join('new'), { scope: 'node' })
    t.match(await a.join('new'), { scope: 'node' })
    await c.leave('left')
    await c.leave('rejoined')
    t.match(await c.join('rejoined'), { scope: 'node' })
    await c.join('left-again')
    await c.leave('left-again')
    await pace(Math.max(0, downMs + 1000 - performance.now()))
    await redis.start()
    const backMs = performance.now()
    const honesty = isHonestAboutSubscribing(t, redis, pair[1], 'crowd-299')
    await isWhole(t, pair, traffic, { backMs })
    await honesty
    for (const room of ['new', 'rejoined', 'left']) t.match(await a.publish(room, room), { scope: 'cluster' })
    await a.publish('new', 'end')
    const got = (await c.collectUntil(({ content }) => content === 'end'))
      .filter(({ type }) => type === 'message')
      .map(({ room }) => room)
    t.strictSame(got, ['new', 'rejoined', 'new'], 'joined rooms once each, the left one not')
    await traffic.settle()
    traffic.verify(t, backMs)
    traffic.isLocallyFast(t, downMs, backMs)
    crowd.socket.destroy()
    await isTidy(t, redis, pair, { r: 2, new: 2, rejoined: 2, left: 1 })
  },
)

t.test('B34 ten restarts', { buffered: true }, async (t) => {
  const redis = await redisFor(t)
  const pair = await startPair(t, redis.url)
  const traffic = await Traffic.start(t, pair, { everyMs: 50 })
  const startMs = performance.now()
  for (let n = 0; n < 10; n++) {
    // The reply to a SHUTDOWN is the end of the connection.
    if (n % 2) await redis.command('SHUTDOWN', 'NOSAVE').catch(() => {})
    await redis.kill()
    await pace(n % 3 ? 50 : 400)
    await redis.start()
    await pace(n % 3 ? 700 : 100)
  }
  const backMs = performance.now()
  await livedThrough(t, pair, traffic, { fromMs: startMs, backMs })
  await isTidy(t, redis, pair, { r: 2 })
})

t.test('B34 every connection killed every 50 ms', { buffered: true }, async (t) => {
  const redis = await redisFor(t)
  const pair = await startPair(t, redis.url)
  const traffic = await Traffic.start(t, pair, { everyMs: 50 })
  const admin = new Redis(redis.port)
  t.teardown(() => admin.disconnect())
  const startMs = performance.now()
  for (let n = 0; n < 80; n++) {
    await admin.call('CLIENT', 'KILL', 'TYPE', n % 2 ? 'pubsub' : 'normal')
    await pace(50)
  }
  const backMs = performance.now()
  await livedThrough(t, pair, traffic, { fromMs: startMs, backMs })
  await isTidy(t, redis, pair, { r: 2 })
})

/** One client in that many rooms of a node, so that subscribing again takes its time. */
async function inManyRooms(node: Server, count: number): Promise<Client> {
  const crowd = await connect(node, 'crowd')
  await Promise.all(Array.from({ length: count }, (_, i) => crowd.join(`crowd-${i}`)))
  return crowd
}

/** As soon as the node calls its subscriber up, the room is subscribed. */
async function isHonestAboutSubscribing(
  t: Test,
  redis: TestRedis,
  node: Server,
  room: string,
): Promise<void> {
  await saysLinks(node, { subscriber: 'up' })
  const counts = await subscribers(redis)
  const channel = Object.keys(counts).find((name) => name.includes(`{${room}}`))
  t.ok(channel !== undefined && counts[channel] === 1, 'up means subscribed')
}

t.test(
  'an outage: what acks and joined say, and a retry with the same key',
  { buffered: true },
  async (t) => {
    const redis = await redisFor(t)
    const pair = await startPair(t, redis.url)
    const [a, b, c] = await Promise.all([connect(pair[0], 'a'), connect(pair[0], 'b'), connect(pair[1], 'c')])
    for (const client of [a, b, c]) t.notOk((await client.join('r')).scope)
    t.match(await a.publish('r', 'before'), { scope: 'cluster', offset: 1 })
    await Promise.all([b.next('message'), c.next('message')])
    for (const [name, goes, returns] of outages(redis)) {
      await goes()
      const first = await a.publish('r', name, { key: name })
      t.match(first, { scope: 'node', offset: undefined }, `${name}: this node only`)
      t.match(await b.next('message'), { content: name, offset: undefined })
      await bothSay(pair, bothDown)
      t.match(
        await a.publish('r', name, { key: name }),
        { scope: 'node', duplicate: true },
        'a retry too soon',
      )
      t.match(await b.join(`late ${name}`), { scope: 'node' })
      t.match(await c.join(`late ${name}`), { scope: 'node' })
      await returns()
      await bothSay(pair, bothUp)
      const retry = await a.publish('r', name, { key: name })
      t.match(retry, { scope: 'cluster', duplicate: undefined, offset: Number }, 'the retry goes everywhere')
      t.match(await a.publish('r', name, { key: name }), { duplicate: true, offset: retry.offset }, 'once')
      await a.publish('r', `${name} end`)
      const isEnd = ({ content }: Envelope) => content === `${name} end`
      t.strictSame(contents(await c.collectUntil(isEnd)), [name, `${name} end`])
      t.strictSame(contents(await b.collectUntil(isEnd)), [`${name} end`], 'not twice')
      t.match(await b.publish(`late ${name}`, 1), { scope: 'cluster' })
      t.match(await c.next('message'), { room: `late ${name}` }, 'live without a rejoin')
    }
    isSound(t, pair)
    await keysLapse(t, redis)
  },
)

/** Ways to go and to return. */
function outages(redis: TestRedis): [string, () => Promise<void>, () => Promise<void>][] {
  return [
    ['killed', () => redis.kill(), () => redis.start()],
    ['frozen', async () => redis.freeze(), async () => redis.thaw()],
  ]
}

t.test(
  'a freeze just longer than the node waits: each retry is delivered once',
  { buffered: true },
  async (t) => {
    const redis = await redisFor(t)
    const pair = await startPair(t, redis.url)
    const [a, b, c] = await Promise.all([connect(pair[0], 'a'), connect(pair[0], 'b'), connect(pair[1], 'c')])
    for (const client of [a, b, c]) await client.join('r')
    for (let round = 0; round < 6; round++) {
      redis.freeze()
      const frozenMs = performance.now()
      const ack = a.publish('r', round, { key: `${round}` })
      // Redis takes a publish up to a second after it was sent: some rounds fall before that, some after.
      await pace(450 + round * 150)
      redis.thaw()
      t.match(await ack, { scope: /node|cluster/ })
      t.ok(performance.now() - frozenMs < 2500)
      await bothSay(pair, bothUp)
      t.match(await a.publish('r', round, { key: `${round}` }), { scope: 'cluster' })
      await a.publish('r', `end ${round}`)
      for (const client of [b, c]) {
        const got = await client.collectUntil(({ content }) => content === `end ${round}`)
        t.strictSame(contents(got), [round, `end ${round}`])
      }
    }
    isSound(t, pair)
  },
)

t.test(
  'READY_NEEDS_BRIDGE: a node with a wrong password is not ready, and stays ready once it was',
  async (t) => {
    const redis = await redisFor(t)
    await redis.command('CONFIG', 'SET', 'requirepass', 'another')
    const careful = await startNode(t, redis.url, { READY_NEEDS_BRIDGE: 'true', BRIDGE_TIMEOUT_MS: '300' })
    const usual = await startNode(t, redis.url, { BRIDGE_TIMEOUT_MS: '300' })
    t.match(await careful.health('/health/ready'), { code: 503, status: 'starting' })
    t.match(await careful.health('/health/live'), { code: 200 })
    t.match(await usual.health('/health/ready'), { code: 200, status: 'ready' })
    const owner = new Redis({ port: redis.port, host: '127.0.0.1', password: 'another' })
    t.teardown(() => owner.disconnect())
    await owner.config('SET', 'requirepass', '')
    await pollUntil('it is ready', async () => (await careful.health('/health/ready')).code === 200, 10_000)
    await redis.stop()
    await pollUntil('it is degraded', async () => (await careful.health()).status === 'degraded', 10_000)
    t.match(await careful.health('/health/ready'), { code: 200, status: 'ready' })
  },
)
