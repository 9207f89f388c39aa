// Who is in a room, over nodes on a real Redis: what a node's death, a reload and an outage look like to members.
import t, { type Test } from 'tap'
import { systemClock, systemTimers } from '../../src/clock.ts'
import { RedisPresence } from '../../src/presence/redis-presence.ts'
import { type Client, connect } from '../support/client.ts'
import { type HubClient, hubLimits, hubNode } from '../support/hub-node.ts'
import { startNodes } from '../support/nodes.ts'
import { startRedis, startRedisCluster } from '../support/redis.ts'
import { redisBridge } from '../support/redis-bridge.ts'
import type { Server } from '../support/server.ts'
import { tokenFor } from '../support/token.ts'
import { pace, pollUntil } from '../support/until.ts'

const rule = { lingerMs: 1000, listMax: 50, intervalMs: 100 }
// Most of it is waiting.
t.jobs = 8

/** What a member makes of all that it was told. */
function told(envelopes: readonly Record<string, unknown>[]) {
  const users = new Set<string>()
  const entered: string[] = []
  const left: string[] = []
  for (const envelope of envelopes) {
    const named = (list: unknown) => ((list ?? []) as { user: string }[]).map(({ user }) => user)
    if (envelope.type === 'presence') users.clear()
    if (envelope.type === 'presence') for (const user of named(envelope.users)) users.add(user)
    if (envelope.type !== 'member') continue
    for (const user of named(envelope.entered)) {
      users.add(user)
      entered.push(user)
    }
    for (const user of (envelope.left ?? []) as string[]) {
      users.delete(user)
      left.push(user)
    }
  }
  return { users: [...users].toSorted(compare), entered, left: left.toSorted(compare) }
}

const compare = (one: string, other: string) => (one < other ? -1 : 1)

interface Member {
  got(): Record<string, unknown>[]
}

async function see(members: Member[], users: string, deadlineMs = 15_000): Promise<void> {
  for (const { got } of members)
    await pollUntil(users, () => told(got()).users.join(' ') === users || undefined, deadlineMs)
}

async function startMember(t: Test, node: Server, user: string): Promise<Member & { client: Client }> {
  const client = await connect(node, user, { info: { name: user } })
  t.teardown(() => client.socket.destroy())
  await client.request({ type: 'join', room: '__proto__', presence: true })
  return { client, got: () => client.received }
}

t.test(
  'kill -9 of a node: its users leave within 15 s, each told once; a reload onto another node is nothing',
  async (t) => {
    const redis = await startRedis()
    t.teardown(() => redis.stop())
    const ROOM_RULES = JSON.stringify([{ match: '*', presence: rule }])
    const [one, two] = (await startNodes(t, 2, { REDIS_URL: redis.url, ROOM_RULES })) as [Server, Server]
    const ada = await startMember(t, one, 'ada')
    const bob = await startMember(t, two, 'bob')
    const eve = await startMember(t, two, 'eve')
    await startMember(t, two, 'fay')
    await see([ada, bob], 'ada bob eve fay')
    eve.client.socket.destroy()
    await startMember(t, one, 'eve')
    await pace(rule.lingerMs + 500)
    t.strictSame([...told(ada.got()).left, ...told(bob.got()).left], [], 'a reload is no leave')
    t.equal(told(ada.got()).entered.filter((user) => user === 'eve').length, 1, 'and no enter')
    t.match(await ada.client.request({ type: 'presence', room: '__proto__' }), {
      count: 4,
      users: [{ info: {} }],
    })
    const token = tokenFor('ada', { info: { name: 'Ada' } })
    t.match(await ada.client.request({ type: 'refresh', token }), { type: 'refreshed' })
    const isRenewed = ({ entered }: Record<string, unknown>) => JSON.stringify(entered)?.includes('"Ada"')
    await pollUntil('bob knows', () => bob.got().some(isRenewed) || undefined)
    const keys = (await redis.command('KEYS', '*')) as string[]
    t.strictSame(
      keys.filter((key) => key.includes('presence')),
      [],
      'nothing of it is in Redis',
    )
    const killedAt = performance.now()
    await two.stop('SIGKILL')
    await see([ada], 'ada eve')
    const afterMs = Math.round(performance.now() - killedAt)
    t.ok(afterMs > 8000 && afterMs < 15_000, `after ${afterMs} ms`)
    t.strictSame(told(ada.got()).left, ['bob', 'fay'])
  },
)

/** Two nodes in this process, with a member each. */
async function twoNodes(t: Test, url: string) {
  const nodes = [1, 2].map(() => {
    const bridge = redisBridge(url, hubLimits)
    const presence = new RedisPresence(bridge.roomChannels, { clock: systemClock, timers: systemTimers })
    const { hub, connect } = hubNode(bridge, presence, rule)
    t.teardown(() => hub.close())
    const join = (user: string): HubClient & Member => {
      const client = connect(user)
      client.say({ type: 'join', room: 'p', presence: true })
      return Object.assign(client, { got: client.got.bind(client) })
    }
    return { bridge, hub, join }
  })
  await Promise.all(nodes.map(({ bridge }) => bridge.whenUp(10_000)))
  const [one, two] = nodes as [(typeof nodes)[0], (typeof nodes)[0]]
  const [ada, bob] = [one.join('ada'), two.join('bob')]
  await see([ada, bob], 'ada bob')
  return { one, two, ada, bob }
}

for (const [how, ms] of [
  ['freeze', 3000],
  ['freeze', 15_000],
  ['kill', 3000],
  ['kill', 15_000],
] as const)
  t.test(`${how} of Redis for ${ms / 1000} s: nobody flaps, and all is put right`, async (t) => {
    const redis = await startRedis()
    t.teardown(() => redis.stop())
    const { one, two, ada, bob } = await twoNodes(t, redis.url)
    const eve = two.join('eve')
    await see([ada, bob], 'ada bob eve')
    if (how === 'freeze') redis.freeze()
    else await redis.kill()
    const downAt = performance.now()
    // What happens meanwhile is seen on its own node, and on the other one later.
    eve.cut()
    one.join('fay')
    await see([ada], 'ada bob eve fay')
    await see([bob], 'ada bob')
    await pace(ms - (performance.now() - downAt))
    t.strictSame(told(ada.got()).users, ['ada', 'bob', 'eve', 'fay'])
    t.strictSame(told(bob.got()).users, ['ada', 'bob'])
    if (how === 'freeze') redis.thaw()
    else await redis.start()
    await see([ada, bob], 'ada bob fay')
    // Longer than a node is waited for.
    await pace(ms > 5000 ? 12_000 : 1000)
    for (const { got } of [ada, bob]) t.strictSame(told(got()).left, ['eve'])
    for (const { entered } of [told(ada.got()), told(bob.got())])
      t.equal(new Set(entered).size, entered.length, 'nobody enters twice')
  })

t.test('a Cluster: users of all nodes, a reload, a node that ends, a node that dies', async (t) => {
  const cluster = await startRedisCluster()
  t.teardown(() => cluster.stop())
  const { one, two, ada, bob } = await twoNodes(t, cluster.url)
  const eve = two.join('eve')
  await see([ada, bob], 'ada bob eve')
  eve.cut()
  one.join('eve')
  await pace(rule.lingerMs + 300)
  t.strictSame([...told(ada.got()).left, ...told(bob.got()).left], [])
  for (const server of cluster.servers) {
    const keys = (await server.command('KEYS', '*')) as string[]
    t.strictSame(
      keys.filter((key) => key.includes('presence')),
      [],
    )
  }
  // It says nothing more.
  await two.bridge.close()
  await see([ada], 'ada eve')
  t.strictSame(told(ada.got()).left, ['bob'])
})
