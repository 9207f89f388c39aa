// Who is in a room, over nodes on a real Redis: what a node's death, a reload and an outage look like to members.
import t, { type Test } from 'tap'
import { HOOK_SECRET, startBackEnd } from '../support/back-end.ts'
import { type Client, connect } from '../support/client.ts'
import { startNodes } from '../support/nodes.ts'
import { type Member, outlives, rule, see, told, twoNodes } from '../support/presence-members.ts'
import { startRedis, startRedisCluster } from '../support/redis.ts'
import type { Server } from '../support/server.ts'
import { tokenFor } from '../support/token.ts'
import { pace, pollUntil } from '../support/until.ts'

// Most of it is waiting.
t.jobs = 8

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
    const { url, asked } = await startBackEnd(t, (_asked, response) => response.end())
    const webhooks = {
      WEBHOOK_URL: url,
      WEBHOOK_SECRET: HOOK_SECRET,
      WEBHOOK_EVENTS: 'user.entered,user.left,room.occupied',
    }
    const env = { REDIS_URL: redis.url, ROOM_RULES, ...webhooks }
    const [one, two] = (await startNodes(t, 2, env)) as [Server, Server]
    const events = () => asked.flatMap(({ body }) => body.events as { type: string; user?: string }[])
    const toldOf = (type: string) =>
      events()
        .filter((event) => event.type === type)
        .map(({ user = '' }) => user)
        .toSorted()
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
    await pollUntil('webhooks tell it', () => toldOf('user.left').length >= 2 || undefined)
    t.strictSame(toldOf('user.left'), ['bob', 'fay'], 'each once, by the node that is left')
    t.strictSame(toldOf('user.entered'), ['ada', 'bob', 'eve', 'fay'], 'each once, by its node')
    t.equal(toldOf('room.occupied').length, 1)
  },
)

for (const how of ['freeze', 'kill'] as const)
  t.test(`${how} of Redis for 3 s: nobody flaps, and all is put right`, (t) => outlives(t, how, 3000))

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
