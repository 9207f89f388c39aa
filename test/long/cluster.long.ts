// What of a Cluster takes minutes: fifty failovers, a hundred thousand rooms, a frozen master beside busy ones.
import t, { type Test } from 'tap'
import { connect } from '../support/client.ts'
import { ask, quantile } from '../support/crowd.ts'
import { startNodes } from '../support/nodes.ts'
import { roleOf } from '../support/redis-topologies.ts'
import { areWhole, RoomPair } from '../support/room-pair.ts'
import type { Server } from '../support/server.ts'
import { type ClusterOptions, startCluster } from '../support/test-cluster.ts'
import { Traffic } from '../support/traffic.ts'
import { pollUntil } from '../support/until.ts'

const BACK_MS = 5_000
const FAILOVERS = 50
const PARTS = 3

async function setUp(t: Test, replicas: number, options: ClusterOptions, env: Record<string, string> = {}) {
  const cluster = await startCluster(replicas, options)
  t.teardown(() => cluster.stop())
  const nodes = (await startNodes(t, 2, { REDIS_URL: cluster.url, ...env })) as [Server, Server]
  return { cluster, nodes }
}

for (const busLatencyMs of [0, 50]) {
  t.test(`${FAILOVERS} planned failovers, the bus slowed by ${busLatencyMs} ms`, async (t) => {
    const { cluster, nodes } = await setUp(t, PARTS, { busLatencyMs })
    const rooms = await cluster.roomsByPart(4)
    const pairs = await Promise.all(rooms.flat().map((room) => RoomPair.join(nodes, room)))
    await areWhole(pairs)
    const tookMs: number[] = []
    for (let n = 0; n < FAILOVERS; n++) {
      const part = n % PARTS
      const [room] = rooms[part] as [string]
      const traffic = await Traffic.start(t, nodes, { room, everyMs: 10 })
      await traffic.beats(20)
      await cluster.failOver(part)
      tookMs.push(await areWhole(pairs))
      await traffic.settle()
      traffic.verify(t, performance.now())
      const has = new Set(traffic.arrivals(0, 1).map(({ n }) => n))
      const lost = traffic.scopes[0].flatMap((scope, n) => (scope === 'cluster' && !has.has(n) ? [n] : []))
      t.strictSame(lost, [], `failover ${n}: what was acked for the cluster has arrived`)
      for (const client of [...traffic.senders, ...traffic.members]) client.socket.destroy()
    }
    t.comment(
      `whole after ${Math.round(quantile(tookMs, 0.5))} ms, at most ${Math.round(Math.max(...tookMs))} ms`,
    )
    t.ok(Math.max(...tookMs) < BACK_MS)
    await Promise.all(pairs.map((pair) => pair.close()))
  })
}

t.test('rooms of other masters are not slowed while one master is frozen', async (t) => {
  const { cluster, nodes } = await setUp(t, 0, {})
  const [frozen, busy] = (await cluster.roomsByPart(1)) as [[string], [string]]
  const sender = await connect(nodes[0], 'sender')
  const member = await connect(nodes[1], 'member')
  for (const room of [frozen[0], busy[0]]) for (const client of [sender, member]) await client.join(room)
  /** Round trips over both nodes, one after the other, while the other room is used too. */
  const measure = async (count: number) => {
    const tookMs: number[] = []
    for (let n = 0; n < count; n++) {
      const startMs = performance.now()
      sender.say(busy[0], n)
      await member.next(({ room, content }) => room === busy[0] && content === n)
      tookMs.push(performance.now() - startMs)
      if (n % 20 === 0) sender.say(frozen[0], n)
    }
    return tookMs
  }
  await measure(2000)
  const usual: number[] = []
  const meanwhile: number[] = []
  // In turns, so that the machine's own moods touch both.
  for (let round = 0; round < 5; round++) {
    usual.push(...(await measure(2000)))
    cluster.masters[0]?.freeze()
    await measure(200)
    meanwhile.push(...(await measure(2000)))
    cluster.masters[0]?.thaw()
    await pollUntil('both up', async () => (await nodes[0].health()).status === 'healthy', 20_000)
  }
  for (const q of [0.5, 0.9]) {
    const [before, then] = [quantile(usual, q), quantile(meanwhile, q)]
    t.comment(`p${q * 100}: ${before.toFixed(3)} ms, while one is frozen ${then.toFixed(3)} ms`)
    t.ok(then < before * 1.1 + 0.05, `p${q * 100}`)
  }
})

for (const count of [80_000, 100_000]) {
  t.test(`${count} rooms are subscribed again after all masters died`, async (t) => {
    const { cluster, nodes } = await setUp(t, 0, {}, { MAX_ROOMS_PER_CLIENT: '10000' })
    const crowd = await Promise.all(
      Array.from({ length: 20 }, (_, n) => connect(nodes[0], `u${n}`, {}, { record: false })),
    )
    const each = count / crowd.length
    await Promise.all(
      crowd.map(async (client, c) => {
        for (let n = 0; n < each; n++) {
          client.send({ type: 'join', room: `many-${c}-${n}` })
          if (n % 200 === 0) await ask(client, { type: 'ping' })
        }
        await ask(client, { type: 'ping' })
      }),
    )
    const pairs = await Promise.all(
      (await cluster.roomsByPart(1)).flat().map((room) => RoomPair.join(nodes, room)),
    )
    await Promise.all(cluster.masters.map((master) => master.kill()))
    await pollUntil('degraded', async () => (await nodes[0].health()).status === 'degraded')
    await Promise.all(cluster.masters.map((master) => master.start()))
    const backMs = await areWhole(pairs, 60_000)
    t.comment(`${count} rooms: whole after ${Math.round(backMs)} ms`)
    const subscribed = await Promise.all(
      cluster.masters.map(
        async (master) => ((await master.command('PUBSUB', 'SHARDCHANNELS', '*many-*')) as string[]).length,
      ),
    )
    t.equal(
      subscribed.reduce((sum, one) => sum + one, 0),
      count,
    )
    for (const { socket } of crowd) socket.destroy()
    await Promise.all(pairs.map((pair) => pair.close()))
  })
}

t.test('masters die again and again, and their replicas take over', async (t) => {
  const { cluster, nodes } = await setUp(t, PARTS, { busLatencyMs: 50 })
  const pairs = await Promise.all(
    (await cluster.roomsByPart(2)).flat().map((room) => RoomPair.join(nodes, room)),
  )
  await areWhole(pairs)
  for (let n = 0; n < 2 * PARTS; n++) {
    const { master, replica } = await cluster.holders(n % PARTS)
    if (n % 2 === 0) await master.kill()
    else master.freeze()
    await pollUntil('the replica is promoted', async () => (await roleOf(replica)) === 'master', 20_000)
    const backMs = await areWhole(pairs)
    t.ok(
      backMs < BACK_MS,
      `${n % 2 === 0 ? 'killed' : 'frozen'}: whole ${Math.round(backMs)} ms after the promotion`,
    )
    if (n % 2 === 0) await master.start()
    else master.thaw()
    await pollUntil('it is a replica', async () => (await roleOf(master)) === 'slave', 20_000)
    t.ok((await areWhole(pairs)) < BACK_MS)
  }
  await Promise.all(pairs.map((pair) => pair.close()))
})
