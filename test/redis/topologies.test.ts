// Redis under Sentinels and as a Cluster: what one Redis gives, and what is left when a server of it dies.
import t, { type Test } from 'tap'
import { makeCertificate } from '../support/certificate.ts'
import { connect, type Envelope } from '../support/client.ts'
import { freePort } from '../support/free-port.ts'
import { fenceAcross, joinFence, nodesAre, startNodes } from '../support/nodes.ts'
import { startRedis, startRedisCluster, type TestRedis, tlsArgs } from '../support/redis.ts'
import { roleOf, startSentinelSet } from '../support/redis-topologies.ts'
import { RoomPair } from '../support/room-pair.ts'
import { type Server, startServer } from '../support/server.ts'
import { startCluster } from '../support/test-cluster.ts'
import { pollUntil } from '../support/until.ts'

/** Full cross-node delivery is back so long after Redis is; here from the moment there is a master again. */
const BACK_MS = 5_000

const contents = (envelopes: Envelope[]) =>
  envelopes.filter(({ type }) => type === 'message').map(({ content }) => content)

const round = (ms: number) => `${Math.round(ms)} ms`

t.jobs = 2

t.test(
  'TLS: one Redis and a Cluster, for nodes that trust the certificate',
  { buffered: true },
  async (t) => {
    const certificate = makeCertificate(t)
    const port = await freePort()
    const single = await startRedis(tlsArgs(port, certificate))
    t.teardown(() => single.stop())
    const cluster = await startRedisCluster(certificate)
    t.teardown(() => cluster.stop())
    for (const url of [`rediss://127.0.0.1:${port}`, cluster.url]) {
      const nodes = (await startNodes(t, 2, { REDIS_URL: url, ...certificate.trust })) as [Server, Server]
      for (const room of ['a', 'b', 'c']) {
        const pair = await RoomPair.join(nodes, room)
        t.ok(await pair.crosses(), `messages cross in ${room}`)
        await pair.close()
      }
      const doubting = await startServer({ REDIS_URL: url }, { waitForReady: false })
      t.teardown(() => doubting.stop('SIGKILL'))
      await doubting.ready()
      t.match(await doubting.health(), { status: 'degraded' }, 'others do not connect')
    }
  },
)

t.test('Sentinel: nodes follow the master', { buffered: true }, async (t) => {
  const set = await startSentinelSet(1_000)
  t.teardown(() => set.stop())
  const nodes = (await startNodes(t, 2, { REDIS_URL: set.url })) as [Server, Server]
  const pair = await RoomPair.join(nodes, 'r')
  t.ok(await pair.crosses(), 'messages cross')
  const [a, b] = pair.clients
  const local = await connect(nodes[0], 'local')
  await local.join('r')
  const away = await connect(nodes[1], 'away')
  const { epoch, offset } = await away.join('r')
  away.socket.destroy()

  const diedAtMs = performance.now()
  await set.master.kill()
  // Nobody waits for a master meanwhile.
  let slowestMs = 0
  let isOver = false
  const localLife = (async () => {
    for (let n = 0; !isOver; n++) {
      const startMs = performance.now()
      a.say('r', `local ${n}`)
      await local.next(({ content }) => content === `local ${n}`)
      slowestMs = Math.max(slowestMs, performance.now() - startMs)
    }
    return slowestMs
  })()
  await pollUntil('/health says so', async () => (await nodes[0].health()).status === 'degraded', 10_000)
  await pollUntil('the replica is promoted', async () => (await roleOf(set.replica)) === 'master', 30_000)
  const promotedAtMs = performance.now()
  isOver = true
  await localLife
  await pollUntil('messages cross again', () => pair.crosses(), 30_000)
  const backMs = performance.now() - promotedAtMs
  t.comment(
    `promoted after ${round(promotedAtMs - diedAtMs)}, back ${round(backMs)} later; local at most ${round(slowestMs)}`,
  )
  t.ok(backMs < BACK_MS, `back within ${BACK_MS} ms of the promotion`)
  t.ok(slowestMs < 2_000, 'local delivery does not wait for it')
  await Promise.all(nodes.map((node) => nodesAre(node, 2)))

  // What was before the failover may be lost, so it is not called recovered; from now on it is.
  const again = await connect(nodes[0], 'away')
  t.match(await again.request({ type: 'join', room: 'r', since: { epoch, offset } }), { recovered: false })
  const now = await again.join('r')
  await b.publish('r', 'after')
  t.match(await again.request({ type: 'join', room: 'r', since: { epoch: now.epoch, offset: now.offset } }), {
    recovered: true,
    missed: 1,
  })

  // The old master comes back and is made a replica; nobody turns to it.
  await set.master.start()
  // Sentinels whose machine held them up look on for 30 s before they act again (TILT).
  await pollUntil('it is a replica', async () => (await roleOf(set.master)) === 'slave', 60_000)
  t.ok(await pair.crosses(), 'messages still cross')
  const late = await startServer({ REDIS_URL: set.url })
  t.teardown(() => late.stop())
  await nodesAre(late, 3)
  const c = await connect(late, 'c')
  await c.join('r')
  await a.publish('r', 'to the late one')
  t.match(await c.next('message'), { content: 'to the late one' }, 'a new node finds the new master')
  await Promise.all([again, local, c].map((client) => client.close()))

  // Sentinels that are gone do not matter while one of them answers.
  await Promise.all(set.sentinels.slice(0, 2).map((sentinel) => sentinel.kill()))
  const later = await startServer({ REDIS_URL: set.url })
  t.teardown(() => later.stop())
  await nodesAre(later, 4)
  t.ok(await pair.crosses())
  await pair.close()
  for (const node of [...nodes, late, later]) t.equal(node.stderr, '')
})

/** The room channels that this server of a Cluster has subscribers of, with how many. */
async function shardChannels(server: TestRedis): Promise<Map<string, number>> {
  const channels = (await server.command('PUBSUB', 'SHARDCHANNELS', '*room:*')) as string[]
  if (channels.length === 0) return new Map()
  const counts = (await server.command('PUBSUB', 'SHARDNUMSUB', ...channels)) as (string | number)[]
  return new Map(channels.map((channel, i) => [channel, Number(counts[2 * i + 1])]))
}

const ROOMS = 60

t.test('Cluster: rooms spread over the slots, each whole in one', { buffered: true }, async (t) => {
  const set = await startCluster(0)
  t.teardown(() => set.stop())
  const nodes = (await startNodes(t, 2, { REDIS_URL: set.url })) as [Server, Server]
  const [a, b] = [await connect(nodes[0], 'a'), await connect(nodes[1], 'b')]
  await joinFence(a, b)
  const rooms = Array.from({ length: ROOMS }, (_, n) => `room ${n} {x}`)
  const positions = new Map<string, Envelope>()
  for (const room of rooms) {
    await a.join(room)
    positions.set(room, await b.join(room))
  }
  for (const [n, room] of rooms.entries()) {
    t.match(await a.publish(room, n, { key: 'k' }), { scope: 'cluster', offset: 1 })
    t.match(await a.publish(room, n, { key: 'k' }), { duplicate: true, offset: 1 })
  }
  const got = new Set(rooms)
  while (got.size > 0) {
    const { room, content } = await b.next(({ type, room }) => type === 'message' && got.has(String(room)))
    if (content !== rooms.indexOf(String(room))) t.fail(`${content} in ${room}`)
    got.delete(String(room))
  }
  const spread = await Promise.all(
    set.masters.map(async (server) => {
      const keys = (await server.command('KEYS', '*')) as string[]
      for (const key of keys) if ((await server.command('PTTL', key)) === -1) t.fail(`${key} has no TTL`)
      const channels = await shardChannels(server)
      t.same(new Set(channels.values()), new Set([2]), 'each room is subscribed once by each node')
      return { keys: keys.filter((key) => key.includes('messages:')).length, channels: channels.size }
    }),
  )
  t.comment(`messages keys and channels by master: ${JSON.stringify(spread)}`)
  t.ok(
    spread.every(({ keys, channels }) => keys >= 5 && channels >= 5),
    'no master is left out',
  )
  const sum = (of: 'keys' | 'channels') => spread.reduce((total, one) => total + one[of], 0)
  // The fence is a room too.
  t.same([sum('keys'), sum('channels')], [ROOMS, ROOMS + 1], 'each room is at one master')

  // Recovery in each of them, at the other node.
  b.socket.destroy()
  for (const room of rooms) await a.publish(room, 'missed')
  const back = await connect(nodes[0], 'b')
  await joinFence(back)
  for (const room of rooms) {
    const { epoch } = positions.get(room) as Envelope
    t.match(await back.request({ type: 'join', room, since: { epoch, offset: 1 } }), {
      recovered: true,
      missed: 1,
    })
  }
  t.same(contents(await back.fence()), Array(ROOMS).fill('missed'))
  const c = await connect(nodes[1], 'c')
  await joinFence(c)
  t.match(await a.publish(undefined, 'all'), { scope: 'cluster' })
  await a.publish(rooms[0], 'order', { echo: true })
  t.match(await c.next('message'), { content: 'all' }, 'a broadcast crosses')
  await back.fence()
  for (const room of rooms) await back.leave(room)
  await a.publish(rooms[1], 'nobody')
  t.same(
    contents(await fenceAcross(a, back)).filter((content) => content === 'nobody'),
    [],
  )
  await Promise.all([a, back, c].map((client) => client.close()))
  await pollUntil(
    'the channels are given back',
    async () => {
      const left = await Promise.all(set.masters.map(shardChannels))
      return left.every((channels) => channels.size === 0)
    },
    10_000,
  )
  for (const node of nodes) {
    t.same(
      node.logs.filter(({ level }) => Number(level) >= 40),
      [],
      'no warning: nothing crossed slots',
    )
  }
})

/** A Cluster, two nodes, and three rooms of each master with a member at both nodes; all of it works. */
async function startRooms(t: Test, replicas: number) {
  const set = await startCluster(replicas)
  t.teardown(() => set.stop())
  const nodes = (await startNodes(t, 2, { REDIS_URL: set.url })) as [Server, Server]
  const pairs = await Promise.all(
    (await set.roomsByPart(3)).map((rooms) => Promise.all(rooms.map((room) => RoomPair.join(nodes, room)))),
  )
  for (const pair of pairs.flat()) t.ok(await pair.crosses(), `${pair.room} crosses`)
  return { set, nodes, pairs }
}

/** Each room is subscribed once by each node, at the servers that are masters now. */
async function isSubscribedOnce(masters: TestRedis[], rooms: number): Promise<void> {
  await pollUntil('each room is subscribed once by each node', async () => {
    const counts = await Promise.all(masters.map(shardChannels))
    const all = counts.flatMap((channels) => [...channels.values()])
    return all.length === rooms && all.every((count) => count === 2)
  })
}

t.test('Cluster: a master with a replica dies, and its rooms heal', { buffered: true }, async (t) => {
  const { set, nodes, pairs } = await startRooms(t, 1)
  const [dead = [], ...others] = pairs
  const [{ room, clients }] = dead as [RoomPair]
  const local = await connect(nodes[0], 'local')
  await local.join(room)
  const diedAtMs = performance.now()
  await set.masters[0]?.kill()
  t.equal((await clients[0].publish(room, 'local')).type, 'ack')
  await local.next(({ content }) => content === 'local')
  const localMs = performance.now() - diedAtMs
  t.ok(localMs < 3_000, 'a room of the dead one goes on at each node')
  await Promise.all(others.flat().map((pair) => pollUntil(pair.room, () => pair.crosses(), 20_000)))
  const othersMs = performance.now() - diedAtMs
  await pollUntil(
    'the replica is promoted',
    async () => (await roleOf(set.replicas[0] as TestRedis)) === 'master',
    20_000,
  )
  const promotedAtMs = performance.now()
  await Promise.all(dead.map((pair) => pollUntil(pair.room, () => pair.crosses(), 20_000)))
  const backMs = performance.now() - promotedAtMs
  t.comment(
    `others after ${round(othersMs)}, promoted after ${round(promotedAtMs - diedAtMs)}, ` +
      `its own rooms ${round(backMs)} later; local after ${round(localMs)}`,
  )
  t.ok(backMs < BACK_MS, `back within ${BACK_MS} ms of the promotion`)
  await Promise.all(nodes.map((node) => nodesAre(node, 2)))
  for (const pair of pairs.flat()) t.ok(await pair.crosses(), `${pair.room} crosses again`)
  await isSubscribedOnce([...set.masters.slice(1), ...set.replicas], pairs.flat().length)
  for (const node of nodes) t.equal(node.stderr, '')
  await Promise.all([...pairs.flat(), local].map((one) => one.close()))
})

t.test('Cluster: a master without a replica dies, and comes back', { buffered: true }, async (t) => {
  const { set, nodes, pairs } = await startRooms(t, 0)
  const all = pairs.flat()
  const locals = await Promise.all(
    all.map(async ({ room }) => {
      const local = await connect(nodes[0], 'local')
      await local.join(room)
      return local
    }),
  )
  await set.masters[2]?.kill()
  await t.test('every room goes on at its node', async (t) => {
    const tookMs: number[] = []
    for (let n = 0; n < 4; n++) {
      for (const [index, { clients }] of all.entries()) {
        const startMs = performance.now()
        t.equal((await clients[0].publish((all[index] as RoomPair).room, n)).type, 'ack')
        await locals[index]?.next(({ content }) => content === n)
        tookMs.push(Math.round(performance.now() - startMs))
      }
    }
    t.comment(`local delivery took ${tookMs} ms`)
    t.ok(tookMs.filter((ms) => ms > 700).length <= all.length, 'what is on its way waits, the rest does not')
    t.ok(Math.max(...tookMs) < 3_000)
  })
  await t.test('a node that starts now serves its own', async (t) => {
    const late = await startServer({ REDIS_URL: set.url, CONNECT_RATE_MAX: '0' })
    t.teardown(() => late.stop())
    const [one, two] = await Promise.all([connect(late, 'one'), connect(late, 'two')])
    const [{ room }] = all as [RoomPair]
    for (const client of [one, two]) t.match(await client.join(room), { type: 'joined' })
    await one.publish(room, 'to its own')
    t.match(await two.next('message'), { content: 'to its own' })
    await Promise.all([one.close(), two.close()])
    await late.stop()
  })
  await set.masters[2]?.start()
  const startedAtMs = performance.now()
  await Promise.all(all.map((pair) => pollUntil(pair.room, () => pair.crosses(), 20_000)))
  const backMs = performance.now() - startedAtMs
  t.comment(`all cross ${round(backMs)} after its new start`)
  t.ok(backMs < BACK_MS + 2_000)
  await Promise.all(nodes.map((node) => nodesAre(node, 2, 20_000)))
  await isSubscribedOnce(set.masters, all.length)
  for (const node of nodes) t.equal(node.stderr, '')
  await Promise.all([...all, ...locals].map((one) => one.close()))
})
