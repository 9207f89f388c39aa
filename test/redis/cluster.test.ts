// A Cluster that changes, and of which a part fails: each master is watched by itself. One of them has another clock, and
// the servers hear late of each other.
import t, { type Test } from 'tap'
import { connect } from '../support/client.ts'
import { nodesAre, startNodes } from '../support/nodes.ts'
import { roleOf } from '../support/redis-topologies.ts'
import { areWhole, RoomPair } from '../support/room-pair.ts'
import type { Server } from '../support/server.ts'
import { startCluster } from '../support/test-cluster.ts'
import { Traffic } from '../support/traffic.ts'
import { pace, pollUntil } from '../support/until.ts'

/** Full delivery is back so long after the cause is gone. */
const BACK_MS = 5_000
const PARTS = [0, 1, 2]

const cluster = await startCluster(3, { isRelayed: true, busLatencyMs: 50, skewMs: [0, 2_000, -2_000] })
t.teardown(() => cluster.stop())
const nodes = (await startNodes(t, 2, { REDIS_URL: cluster.url })) as [Server, Server]
/** Two rooms of each master, with a member at both nodes. */
const pairs = await Promise.all(
  (await cluster.roomsByPart(2)).map((rooms) => Promise.all(rooms.map((room) => RoomPair.join(nodes, room)))),
)
const pairsOf = (part: number) => pairs[part] as [RoomPair, RoomPair]
const all = pairs.flat()
t.teardown(() => Promise.all(all.map((pair) => pair.close())))

interface LinkStatus {
  state: string
  reason?: string
}
interface Master {
  slots: string
  publisher: LinkStatus
  subscriber: LinkStatus
}

/** What a node says of the masters, in the order of their slots. */
async function mastersOf(node: Server): Promise<Master[]> {
  const { bridge } = await node.health()
  const { masters = [] } = bridge as { masters?: Master[] }
  return masters.sort((a, b) => Number.parseInt(a.slots, 10) - Number.parseInt(b.slots, 10))
}

/** All rooms cross within the bound, nodes say so, and no message is lost without a word, comes twice or out of order. */
async function isWhole(t: Test, sinceMs: number): Promise<void> {
  await areWhole(all)
  const backMs = performance.now() - sinceMs
  t.ok(backMs < BACK_MS, `whole after ${Math.round(backMs)} ms`)
  await Promise.all(nodes.map((node) => nodesAre(node, 2)))
}

/** Messages that were acked for the whole cluster, and that the other node's member has not got. */
function lost(traffic: Traffic): number[] {
  const has = new Set(traffic.arrivals(0, 1).map(({ n }) => n))
  return traffic.scopes[0].flatMap((scope, n) => (scope === 'cluster' && !has.has(n) ? [n] : []))
}

t.test('/health has each master by its slots, and clocks two seconds apart are no matter', async (t) => {
  await isWhole(t, performance.now())
  for (const node of nodes)
    t.strictSame(
      await mastersOf(node),
      ['0-5461', '5462-10923', '10924-16383'].map((slots) => ({
        slots,
        publisher: { state: 'up' },
        subscriber: { state: 'up' },
      })),
    )
})

t.test('planned failovers: nothing that was acked is lost', async (t) => {
  for (const part of PARTS) {
    const [{ room }] = pairsOf(part)
    const traffic = await Traffic.start(t, nodes, { room, everyMs: 10, from: [0] })
    await traffic.flows()
    await cluster.failOver(part)
    const atMs = performance.now()
    await isWhole(t, atMs)
    await traffic.settle()
    traffic.verify(t, performance.now())
    t.strictSame(lost(traffic), [], 'what was acked for the cluster has reached the other node')
    const joined = await (await connect(nodes[1], 'late')).join(room)
    t.equal(joined.scope, undefined)
  }
})

for (const link of ['subscriber', 'publisher']) {
  t.test(`a half-open ${link} of one master is noticed, and the others go on`, async (t) => {
    const part = link === 'subscriber' ? 1 : 2
    const { master } = await cluster.holders(part)
    const relay = cluster.relayOf(master)
    t.teardown(() => relay.heal())
    relay.freeze(`roomcast-${link}`)
    const fromMs = performance.now()
    const downs = await Promise.all(
      nodes.map((node) =>
        pollUntil(
          `${link} is down`,
          async () => {
            const masters = await mastersOf(node)
            return masters.some(({ publisher, subscriber }) =>
              [publisher, subscriber].some(({ state }) => state === 'down'),
            )
              ? masters
              : undefined
          },
          10_000,
        ),
      ),
    )
    t.ok(performance.now() - fromMs < BACK_MS, `noticed after ${Math.round(performance.now() - fromMs)} ms`)
    for (const masters of downs) {
      const states = masters.map(({ publisher, subscriber }) => [publisher.state, subscriber.state])
      t.strictSame(states[0], ['up', 'up'])
      t.equal(masters[part]?.[link as 'subscriber' | 'publisher'].state, 'down')
    }
    const others = PARTS.filter((other) => other !== part).flatMap(pairsOf)
    for (const pair of others) t.ok(await pair.crosses(), `${pair.room} of another master crosses`)
    const [{ room, clients }] = pairsOf(part)
    t.match(await clients[0].publish(room, 'here only'), { scope: 'node' })
    const late = await connect(nodes[1], 'late')
    t.match(await late.join(room), { scope: link === 'subscriber' ? 'node' : undefined })
    await late.close()
    relay.heal()
    await isWhole(t, performance.now())
  })
}

t.test('who is asked for the masters may be half-open when one is replaced', async (t) => {
  const { master } = await cluster.holders(0)
  const relay = cluster.relayOf(master)
  t.teardown(() => relay.heal())
  relay.freeze('roomcast-topology')
  await cluster.failOver(0)
  await isWhole(t, performance.now())
})

for (const type of ['pubsub', 'normal']) {
  t.test(`${type} connections to one master are cut: nothing twice, one order`, async (t) => {
    const [{ room }] = pairsOf(1)
    const { master } = await cluster.holders(1)
    const traffic = await Traffic.start(t, nodes, { room, everyMs: 4 })
    await traffic.flows()
    for (let n = 0; n < 5; n++) {
      await master.command('CLIENT', 'KILL', 'TYPE', type)
      await pace(300)
    }
    const atMs = performance.now()
    await isWhole(t, atMs)
    await traffic.beats(20)
    await traffic.settle()
    traffic.verify(t, performance.now())
    t.strictSame(lost(traffic), [], 'what was missed was read from the history')
  })
}

t.test('a master that has lost the scripts goes on with reads alone', async (t) => {
  for (const part of PARTS) {
    const [{ room, clients }] = pairsOf(part)
    const { epoch, offset } = await clients[1].publish(room, 'seen', { echo: true })
    const position = { epoch: epoch ?? (await (await connect(nodes[1], 'late')).join(room)).epoch, offset }
    await clients[0].publish(room, 'missed')
    const { master } = await cluster.holders(part)
    await master.command('SCRIPT', 'FLUSH')
    const reader = await connect(nodes[1], 'reader')
    t.match(
      await reader.request({ type: 'join', room, since: position }),
      { recovered: true, missed: 1 },
      `at once, part ${part}`,
    )
    await master.command('SCRIPT', 'FLUSH')
    t.match(await reader.request({ type: 'history', room }), { type: 'history' })
    await reader.close()
  }
  await isWhole(t, performance.now())
})

t.test("a room's slot is moved while it is used: its members get everything", async (t) => {
  const [pair] = pairsOf(0)
  const { room, clients } = pair
  const slot = await cluster.slotOf(room)
  const [{ master: from }, { master: to }] = [await cluster.holders(0), await cluster.holders(1)]
  const traffic = await Traffic.start(t, nodes, { room, everyMs: 5 })
  await traffic.flows()
  for (const [source, target] of [
    [from, to],
    [to, from],
  ] as const) {
    await cluster.moveSlot(slot, source, target)
    const atMs = performance.now()
    await isWhole(t, atMs)
    await traffic.beats(20)
  }
  await traffic.settle()
  traffic.verify(t, performance.now())
  t.strictSame(lost(traffic), [])
  const epochs = clients[1].received.filter(({ type, room: its }) => type === 'reset' && its === room)
  t.ok(epochs.length >= 2, 'members were told of each new epoch')
})

t.test('a frozen master is replaced, and meanwhile only its rooms are each at their node', async (t) => {
  const { master, replica } = await cluster.holders(2)
  const [{ room, clients }] = pairsOf(2)
  const near = await connect(nodes[0], 'near')
  await near.join(room)
  t.teardown(() => master.thaw())
  master.freeze()
  const others = [...pairsOf(0), ...pairsOf(1)]
  const waits: number[] = []
  const scopes = new Set<unknown>()
  const isPromoted = pollUntil(
    'the replica is promoted',
    async () => (await roleOf(replica)) === 'master',
    20_000,
  )
  let isOver = false
  void isPromoted.then(() => {
    isOver = true
  })
  for (let n = 0; !isOver; n++) {
    const startMs = performance.now()
    clients[0].say(room, `near ${n}`)
    await near.next(({ content }) => content === `near ${n}`)
    waits.push(performance.now() - startMs)
    for (const { room, clients } of others) scopes.add((await clients[0].publish(room, n)).scope)
  }
  await isPromoted
  await isWhole(t, performance.now())
  t.ok(Math.max(...waits) < 2_000, `members at the node waited ${Math.round(Math.max(...waits))} ms at most`)
  t.strictSame([...scopes], ['cluster'], "other masters' rooms crossed all along")
  await near.close()
  master.thaw()
  await pollUntil('it is a replica', async () => (await roleOf(master)) === 'slave', 20_000)
  await isWhole(t, performance.now())
  for (const node of nodes) t.equal(node.stderr, '')
})
