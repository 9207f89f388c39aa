// Redis that says nothing, wholly or on one connection: B35, B37, B41, B55, B17 with a slow Redis, and the limiter.
import { request } from 'node:http'
import t, { type Test } from 'tap'
import { connect } from '../support/client.ts'
import { quantile } from '../support/crowd.ts'
import { textFrame } from '../support/frames.ts'
import { bothDown, bothUp, HealthWatch, type Links, linksOf, saysLinks } from '../support/health-watch.ts'
import {
  bothSay,
  connectionsOf,
  isSound,
  isTidy,
  isWhole,
  keysLapse,
  livedThrough,
  localLife,
  redisFor,
  relayFor,
  startNode,
  startPair,
} from '../support/node-pair.ts'
import { RawSocket, upgradeRequest } from '../support/raw-socket.ts'
import type { TestRedis } from '../support/redis.ts'
import type { Server } from '../support/server.ts'
import { clientsAre } from '../support/still-serving.ts'
import { tokenFor } from '../support/token.ts'
import { Traffic } from '../support/traffic.ts'
import { pace, pollUntil } from '../support/until.ts'

t.jobs = 3
const sides = [0, 1] as const
/** A freeze is noticed by publishes that are not answered; until then members wait for them, so long at most. */
const NOTICED_MS = 750

t.test('B35 a half-open subscriber: its bytes vanish, and Redis ends it', { buffered: true }, async (t) => {
  const redis = await redisFor(t)
  const relay = await relayFor(t, redis.port)
  const pair = await startPair(t, [redis.url, relay.url])
  const watch = new HealthWatch(t, pair[1])
  const traffic = await Traffic.start(t, pair, { everyMs: 50 })
  await traffic.flows()
  const ports = relay.upstreamPorts('subscribe')
  t.equal(ports.length, 1, 'one connection subscribes')
  relay.freeze('subscribe')
  const frozenMs = performance.now()
  const deaf: Links = { publisher: 'up', subscriber: 'down' }
  await saysLinks(pair[1], deaf, { sinceMs: frozenMs })
  const saidMs = performance.now()
  t.match(await pair[1].health(), { code: 200, status: 'degraded' })
  await redis.command('CLIENT', 'KILL', 'ADDR', `127.0.0.1:${ports[0]}`).catch((error: Error) => {
    t.match(error.message, 'No such client', 'or it is gone already')
  })
  t.equal((await localLife(t, pair[1], () => performance.now() > saidMs + 2000)).scope, 'node')
  watch.saysAllAlong(t, deaf, saidMs)
  t.match(linksOf(await pair[0].health()), { state: 'up' }, 'the other node is well')
  relay.heal()
  const backMs = performance.now()
  await livedThrough(t, pair, traffic, { fromMs: frozenMs + NOTICED_MS, backMs, sinceMs: frozenMs })
  t.ok(
    Math.max(...traffic.localMs(1, frozenMs, backMs)) < 1500,
    'nobody waits for the deaf one to be noticed',
  )
  await watch.stop()
  watch.verify(t)
  await isTidy(t, redis, pair, { r: 2 })
})

t.test('what Redis took and does not bring back reaches each member once', async (t) => {
  const redis = await redisFor(t)
  const relay = await relayFor(t, redis.port)
  const [, node] = await startPair(t, [redis.url, relay.url])
  const [a, b] = [await connect(node, 'a'), await connect(node, 'b')]
  const { epoch } = await a.join('r')
  await b.join('r')
  relay.freeze('subscribe')
  t.match(await a.publish('r', 1), { scope: 'cluster', offset: 1 })
  const c = await connect(node, 'c')
  t.match(await c.request({ type: 'join', room: 'r', since: { epoch, offset: 0 } }), {
    recovered: true,
    missed: 1,
  })
  t.match(await b.next('message'), { content: 1, offset: 1 }, 'read when it is overdue')
  t.match(await a.publish('r', 2), { scope: 'cluster', offset: 2 })
  t.match(await b.next('message'), { content: 2, offset: 2 }, 'then as soon as Redis has taken it')
  const got = (await c.fence()).map(({ content, offset }) => [content, offset])
  t.strictSame(
    got,
    [
      [1, 1],
      [2, 2],
    ],
    'not again for who has it from the history',
  )
  relay.heal()
  await Promise.all([a, b, c].map((client) => client.close()))
})

t.test('B35 a half-open publisher: what others say still comes', { buffered: true }, async (t) => {
  const redis = await redisFor(t)
  const relay = await relayFor(t, redis.port)
  const pair = await startPair(t, [redis.url, relay.url])
  const watch = new HealthWatch(t, pair[1])
  const traffic = await Traffic.start(t, pair, { everyMs: 50 })
  await traffic.flows()
  relay.freeze('heartbeat:')
  const frozenMs = performance.now()
  const mute: Links = { publisher: 'down', subscriber: 'up' }
  await saysLinks(pair[1], mute, { sinceMs: frozenMs })
  const saidMs = performance.now()
  await localLife(t, pair[1], () => performance.now() > saidMs + 3000)
  watch.saysAllAlong(t, mute, saidMs)
  traffic.wasAcked(t, 1, 'node', saidMs, performance.now())
  relay.heal()
  const backMs = performance.now()
  await livedThrough(t, pair, traffic, { fromMs: frozenMs + NOTICED_MS, backMs, sinceMs: frozenMs })
  t.strictSame(
    traffic
      .arrivals(0, 1)
      .map(({ n }) => n)
      .slice(-1),
    [traffic.sentAtMs[0].length - 1],
    'the other direction',
  )
  t.ok(traffic.oldestAgeMs(1, backMs) < 5000, 'nothing old arrives')
  await isTidy(t, redis, pair, { r: 2 })
})

/** A request, a join and what follows it in one write; resolves with what was answered up to a pong. */
async function joinsAtOnce(node: Server, query: string, half = false) {
  const socket = await RawSocket.open(node)
  const bytes = Buffer.concat([
    Buffer.from(upgradeRequest(`/ws?token=${query}`)),
    textFrame('{"type":"join","room":"r","id":1}'),
    textFrame('{"type":"message","room":"r","content":"own","echo":true}'),
    textFrame('{"type":"ping"}'),
  ])
  const cut = half ? bytes.length - 90 : bytes.length
  socket.write(bytes.subarray(0, cut))
  if (half) {
    await pace(50)
    socket.write(bytes.subarray(cut))
  }
  const { status } = await socket.answer(15_000)
  if (status === 101) await socket.frame('pong', ({ payload }) => payload.includes('"pong"'), 15_000)
  else await socket.ended()
  const envelopes = socket.frames.map(({ payload }) => JSON.parse(payload.toString()))
  return { socket, status, envelopes }
}

async function everyJoinCounts(t: Test, node: Server, count: number): Promise<void> {
  const all = await Promise.all(
    Array.from({ length: count }, (_, i) => joinsAtOnce(node, tokenFor(`u${i}`), i % 2 === 1)),
  )
  t.equal(all.filter(({ status }) => status === 101).length, count, 'all are let in')
  const joined = all.filter(({ envelopes }) => envelopes.filter(({ type }) => type === 'joined').length === 1)
  t.equal(joined.length, count, 'exactly one joined for each')
  for (const { socket, envelopes } of all) {
    const types = envelopes.map(({ type }) => type)
    if (types[0] !== 'welcome' || types[1] !== 'joined') t.fail(`out of order: ${types}`)
    socket.destroy()
  }
  const refused = await joinsAtOnce(node, 'bad')
  t.equal(refused.status, 401)
  t.notMatch(refused.socket.response?.body, 'joined')
  refused.socket.destroy()
  await clientsAre(node, 0, { rooms: 0, deadlineMs: 5000 })
}

t.test('B17 early joins while Redis pauses, and while it is slow', { buffered: true }, async (t) => {
  const redis = await redisFor(t)
  const relay = await relayFor(t, redis.port)
  const node = await startNode(t, relay.url, { CONNECT_RATE_MAX: '1000' })
  await saysLinks(node, bothUp)
  await redis.command('CLIENT', 'PAUSE', 3000, 'ALL')
  await everyJoinCounts(t, node, 40)
  await saysLinks(node, bothUp, { withinMs: 10_000 })
  relay.latencyMs = 150
  await everyJoinCounts(t, node, 40)
  isSound(t, [node])
  relay.latencyMs = 0
  await saysLinks(node, bothUp, { withinMs: 10_000 })
  await keysLapse(t, redis)
})

/** One upgrade: its status, and how long its answer took. */
async function upgrade(node: Server, from: string): Promise<{ status: number; ms: number }> {
  const startMs = performance.now()
  const tcp = { localAddress: from }
  const socket = await RawSocket.upgrade(node, `/ws?token=${tokenFor('a')}`, { tcp })
  socket.destroy()
  return { status: socket.response?.status ?? 0, ms: performance.now() - startMs }
}

async function upgrades(nodes: readonly Server[], from: string, count: number) {
  const statuses: number[] = []
  const times: number[] = []
  for (let n = 0; n < count; n++) {
    const { status, ms } = await upgrade(nodes[n % nodes.length] as Server, from)
    statuses.push(status)
    times.push(ms)
  }
  return { statuses, times }
}

const fiveOf = (count: number) => Array.from({ length: count }, (_, n) => (n < 5 ? 101 : 429))

t.test(
  'links that have come to different servers behind one address find one again',
  { buffered: true },
  async (t) => {
    const [first, second] = [await redisFor(t), await redisFor(t)]
    const relay = await relayFor(t, first.port)
    const pair = await startPair(t, relay.url)
    const traffic = await Traffic.start(t, pair, { everyMs: 50 })
    await traffic.flows()
    relay.target = second.port
    // The publishers stay where they are, and are answered.
    relay.cut('subscribe')
    await isWhole(t, pair, traffic, { backMs: performance.now(), withinMs: 10_000 })
    // Until then each reads in the history what it does not hear.
    await pollUntil(
      'no publisher is left at the first',
      async () => {
        return !String(await first.command('CLIENT', 'LIST')).includes('roomcast-publisher')
      },
      10_000,
    )
    await isWhole(t, pair, traffic, { backMs: performance.now() })
  },
)

t.test(
  'the connection limiter: across nodes, and locally without ever waiting',
  { buffered: true },
  async (t) => {
    const redis = await redisFor(t)
    const pair = await startPair(t, redis.url, { CONNECT_RATE_MAX: '5', CONNECT_RATE_WINDOW_MS: '60000' })
    t.strictSame((await upgrades(pair, '127.0.1.1', 10)).statuses, fiveOf(10), 'both nodes count together')
    await keysLapse(t, redis)
    const times: number[] = []
    const isLocal = async (name: string, from: string) => {
      for (const [i, node] of pair.entries()) {
        const got = await upgrades([node], `${from}${i}`, 8)
        t.strictSame(got.statuses, fiveOf(8), `${name}: node ${i + 1} counts for itself`)
        times.push(...got.times)
      }
      // Again and again: not only the first upgrade may find out.
      for (let n = 0; n < 15; n++) {
        times.push((await upgrade(pair[0], `${from}${20 + n}`)).ms)
        await pace(100)
      }
    }
    const isShared = async (name: string, from: string) => {
      let n = 0
      await pollUntil(name, async () => {
        const { statuses } = await upgrades(pair, `${from}${++n}`, 6)
        return JSON.stringify(statuses) === JSON.stringify(fiveOf(6))
      })
    }
    redis.freeze()
    await isLocal('frozen', '127.0.2.')
    redis.thaw()
    await isShared('after a freeze both count together again', '127.0.3.')
    await redis.kill()
    await isLocal('killed', '127.0.4.')
    await redis.start()
    await isShared('after a restart both count together again', '127.0.5.')
    t.ok(quantile(times, 0.95) < 500, `an upgrade waits ${Math.round(quantile(times, 0.95))} ms (p95)`)
    t.ok(Math.max(...times) < 1000, `and ${Math.round(Math.max(...times))} ms at most`)
    await pollUntil('three connections a node', async () => (await connectionsOf(redis)) === 6)
    isSound(t, pair)
    await keysLapse(t, redis)
  },
)

interface Trouble {
  name: string
  begin(): unknown
  end(): unknown
  links: Partial<Links>
}

/** Begins and ends each trouble; /health tells within 5 s, and all the time until it is over. */
async function tellsTheTruth(t: Test, node: Server, troubles: Trouble[], secrets: string[]): Promise<void> {
  const watch = new HealthWatch(t, node)
  await saysLinks(node, bothUp)
  for (const { name, begin, end, links } of troubles) {
    await begin()
    const tookMs = await saysLinks(node, links)
    const saidMs = performance.now()
    const { scope } = await localLife(t, node, () => performance.now() > saidMs + 1500)
    t.equal(scope, links.subscriber === 'down' ? 'node' : undefined, `${name}: what joined says`)
    watch.saysAllAlong(t, links, saidMs)
    await end()
    const backMs = await saysLinks(node, bothUp)
    t.pass(`${name}: told after ${Math.round(tookMs)} ms, and the end after ${Math.round(backMs)} ms`)
  }
  await watch.stop()
  watch.verify(t, secrets)
  isSound(t, [node])
}

t.test('B55 /health when all of Redis goes', { buffered: true }, async (t) => {
  const redis = await redisFor(t)
  const node = await startNode(t, `redis://:swordfish-2@127.0.0.1:${redis.port}`)
  const dropAll = async () => {
    await redis.command('CLIENT', 'KILL', 'TYPE', 'pubsub')
    await redis.command('CLIENT', 'KILL', 'TYPE', 'normal')
  }
  const requirePassword = async (password: string) => {
    await redis.command('CONFIG', 'SET', 'requirepass', password)
    redis.login = { password }
  }
  await requirePassword('swordfish-2')
  const restart = async () => {
    await redis.start(['--requirepass', 'swordfish-2'])
  }
  await tellsTheTruth(
    t,
    node,
    [
      { name: 'killed', begin: () => redis.kill(), end: restart, links: bothDown },
      { name: 'frozen', begin: () => redis.freeze(), end: () => redis.thaw(), links: bothDown },
      {
        name: 'password changed',
        begin: () => requirePassword('swordfish-3').then(dropAll),
        end: () => requirePassword('swordfish-2'),
        links: bothDown,
      },
    ],
    ['swordfish'],
  )
  t.notOk(node.output.includes('swordfish'), 'no password in the log')
})

t.test('B55 /health when one connection goes', { buffered: true }, async (t) => {
  const redis = await redisFor(t)
  const relay = await relayFor(t, redis.port)
  const node = await startNode(t, relay.url)
  const cutOff = (word: string) => () => {
    relay.freeze(word)
    relay.cut(word)
  }
  const end = () => relay.heal()
  await tellsTheTruth(
    t,
    node,
    [
      {
        name: 'no subscriber',
        begin: cutOff('subscribe'),
        end,
        links: { publisher: 'up', subscriber: 'down' },
      },
      {
        name: 'no publisher',
        begin: cutOff('heartbeat:'),
        end,
        links: { publisher: 'down', subscriber: 'up' },
      },
    ],
    [],
  )
})

t.test(
  'B55 /health in other forms, and 500 at once, while Redis is frozen',
  { buffered: true },
  async (t) => {
    const redis = await redisFor(t)
    const node = await startNode(t, redis.url)
    redis.freeze()
    await saysLinks(node, bothDown)
    t.match(await node.health('/health?x=1'), { code: 200, status: 'degraded' })
    const status = await new Promise((resolve, reject) => {
      const sent = request(node.url('/health'), { method: 'HEAD', agent: false }, (answer) => {
        answer.resume().on('end', () => resolve(answer.statusCode))
      })
      sent.on('error', reject).end()
    })
    t.equal(status, 200)
    t.match(await node.health('/health/live'), { code: 200 })
    t.match(await node.health('/health/ready'), { code: 200 })
    const all = await Promise.all(Array.from({ length: 500 }, () => node.health('/health', 5000)))
    t.equal(all.filter(({ code, status }) => code === 200 && status === 'degraded').length, 500)
    redis.thaw()
    await saysLinks(node, bothUp)
    isSound(t, [node])
  },
)

/** Two redis-servers, the second a replica of the first. */
async function masterAndReplica(t: Test): Promise<[TestRedis, TestRedis]> {
  const args = ['--repl-diskless-sync-delay', '0']
  const servers: [TestRedis, TestRedis] = [await redisFor(t, args), await redisFor(t, args)]
  await becomesReplica(servers[1], servers[0])
  return servers
}

async function becomesReplica(replica: TestRedis, master: TestRedis): Promise<void> {
  await replica.command('REPLICAOF', '127.0.0.1', master.port)
  await pollUntil('the replica is in step', async () =>
    String(await replica.command('INFO', 'replication')).includes('master_link_status:up'),
  )
}

t.test('B41 demoted to a replica: a visible sign, local delivery as ever', { buffered: true }, async (t) => {
  const [first, second] = await masterAndReplica(t)
  const pair = await startPair(t, first.url)
  const traffic = await Traffic.start(t, pair, { everyMs: 50 })
  await traffic.flows()
  await second.command('REPLICAOF', 'NO', 'ONE')
  await first.command('REPLICAOF', '127.0.0.1', second.port)
  const downMs = performance.now()
  await bothSay(pair, { publisher: 'down' }, downMs)
  const saidMs = performance.now()
  for (const node of pair) {
    const health = await node.health()
    t.match(health, { code: 200, status: 'degraded' })
    t.equal(linksOf(health).publisher.reason, 'READONLY')
  }
  await localLife(t, pair[0], () => performance.now() > saidMs + 1500)
  for (const side of sides) traffic.wasAcked(t, side, 'node', saidMs, performance.now())
  await first.command('REPLICAOF', 'NO', 'ONE')
  const backMs = performance.now()
  await livedThrough(t, pair, traffic, { fromMs: downMs, backMs })
  await isTidy(t, first, pair, { r: 2 })
})

t.test(
  'B41 a failover behind the same address, connections left as they are',
  { buffered: true },
  async (t) => {
    const [first, second] = await masterAndReplica(t)
    const relays = [await relayFor(t, first.port), await relayFor(t, first.port)] as const
    const pair = await startPair(t, [relays[0].url, relays[1].url])
    const traffic = await Traffic.start(t, pair, { everyMs: 50 })
    await traffic.flows()
    await second.command('REPLICAOF', 'NO', 'ONE')
    await first.command('REPLICAOF', '127.0.0.1', second.port)
    // Node 2 is moved first: for a while each has another server.
    relays[1].target = second.port
    relays[1].cut()
    const movedMs = performance.now()
    await saysLinks(pair[0], { publisher: 'down' })
    t.match(await pair[0].health(), { status: 'degraded' }, 'a visible sign')
    await saysLinks(pair[1], bothUp)
    relays[0].target = second.port
    await isWhole(t, pair, traffic, { backMs: performance.now(), withinMs: 30_000 })
    await traffic.beats(20)
    await traffic.settle()
    traffic.isLocallyFast(t, movedMs, performance.now())
    isSound(t, pair)
    await keysLapse(t, second)
  },
)
