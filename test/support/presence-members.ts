// Members of rooms with presence: what they make of what they are told, and what an outage of Redis looks like to them.
import type { Test } from 'tap'
import { systemClock, systemTimers } from '../../src/clock.ts'
import { RedisPresence } from '../../src/presence/redis-presence.ts'
import { type HubClient, hubLimits, hubNode } from './hub-node.ts'
import { startRedis } from './redis.ts'
import { redisBridge } from './redis-bridge.ts'
import { pace, pollUntil } from './until.ts'

export const rule = { lingerMs: 1000, listMax: 50, intervalMs: 100 }
/** What a member makes of all that it was told. */
export function told(envelopes: readonly Record<string, unknown>[]) {
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

export interface Member {
  got(): Record<string, unknown>[]
}

export async function see(members: Member[], users: string, deadlineMs = 15_000): Promise<void> {
  for (const { got } of members)
    await pollUntil(users, () => told(got()).users.join(' ') === users || undefined, deadlineMs)
}

/** Two nodes in this process, with a member each. */
export async function twoNodes(t: Test, url: string) {
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

/** Redis is away for so long: nobody enters or leaves for that, and what happened meanwhile is put right. */
export async function outlives(t: Test, how: 'freeze' | 'kill', ms: number): Promise<void> {
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
}
