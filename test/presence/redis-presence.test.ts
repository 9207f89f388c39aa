import { randomUUID } from 'node:crypto'
import t from 'tap'
import type { RedisBridge } from '../../src/bridge/redis-bridge.ts'
import { systemClock, systemTimers } from '../../src/clock.ts'
import { RedisPresence } from '../../src/presence/redis-presence.ts'
import { TestNode } from '../support/bridge-contract.ts'
import { PresenceNode, presenceContract } from '../support/presence-contract.ts'
import { startRedis, startRedisCluster } from '../support/redis.ts'
import { redisBridge } from '../support/redis-bridge.ts'
import { TcpRelay } from '../support/tcp-relay.ts'
import { pollUntil } from '../support/until.ts'

const single = await startRedis()
const cluster = await startRedisCluster()
t.teardown(async () => {
  await single.stop()
  await cluster.stop()
})

const rule = { lingerMs: 100, listMax: 200, intervalMs: 100 }

async function create(url: string) {
  const bridge = redisBridge(url)
  const { node } = new TestNode(bridge)
  await bridge.whenUp(5000)
  const presence = new RedisPresence(bridge.roomChannels, { clock: systemClock, timers: systemTimers })
  return { node, bridge, presence, close: () => bridge.close() }
}

presenceContract('one Redis', { nodes: 2, create: () => create(single.url) })
presenceContract('Redis Cluster', { nodes: 2, create: () => create(cluster.url) })

t.test(
  'a node that was cut off is put right, and puts the others right; nothing of it is in Redis',
  async (t) => {
    const relay = await TcpRelay.open(single.port)
    t.teardown(() => relay.close())
    const room = randomUUID()
    const nodes: PresenceNode[] = []
    const bridges: RedisBridge[] = []
    for (const url of [single.url, `redis://127.0.0.1:${relay.port}`]) {
      const { node: id, bridge, presence, close } = await create(url)
      t.teardown(async () => {
        await presence.stop()
        await close()
      })
      const node = new PresenceNode(id, presence)
      await node.presence.open(room, rule)
      nodes.push(node)
      bridges.push(bridge)
    }
    const [one, two] = nodes as [PresenceNode, PresenceNode]
    one.announce(room, { user: 'ada', clients: 1, info: undefined })
    two.announce(room, { user: 'bob', clients: 1, info: undefined })
    await one.lists(room, 'bob 1 undefined')
    await two.lists(room, 'ada 1 undefined')
    relay.freeze()
    one.announce(
      room,
      { user: 'ada', clients: 0, info: undefined },
      { user: 'eve', clients: 1, info: undefined },
    )
    two.announce(
      room,
      { user: 'bob', clients: 0, info: undefined },
      { user: 'fay', clients: 1, info: undefined },
    )
    t.strictSame(one.list(room), ['bob 1 undefined'])
    t.strictSame(two.list(room), ['ada 1 undefined'])
    await pollUntil('it is known', () => bridges[1]?.status().state === 'down' || undefined)
    relay.heal()
    await one.lists(room, 'fay 1 undefined')
    await two.lists(room, 'eve 1 undefined')
    const keys = (await single.command('KEYS', '*')) as string[]
    t.strictSame(
      keys.filter((key) => key.includes('presence') || key.includes(room)),
      [],
    )
  },
)
