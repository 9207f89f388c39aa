// What can be done to nodes, Redis and clients in a chaos run.
import { Redis } from 'ioredis'
import type { TestRedis } from '../redis.ts'
import { roleOf } from '../redis-topologies.ts'
import { pace, pollUntil } from '../until.ts'
import type { Arena, ChaosNode, Mode } from './arena.ts'
import { Dice } from './dice.ts'

/** Arguments of a fault, drawn before the run; which of them it takes is its own affair. */
export interface Draw {
  /** Chooses among what there is. */
  which: number
  ms: number
  share: number
  word: string
}

export interface FaultKind {
  name: string
  weight: number
  modes: readonly Mode[]
  /** Two of one family never run at once. */
  family: 'node' | 'redis' | 'link' | 'client'
  /** The modes in which Redis, or the node's memory, may lose what it had. */
  lossyIn: readonly Mode[]
  run(arena: Arena, draw: Draw): Promise<unknown>
}

const FAILOVER_MS = 15_000
const everywhere: readonly Mode[] = ['memory', 'single', 'sentinel', 'cluster']
const onRedis: readonly Mode[] = ['single', 'sentinel', 'cluster']
const replicated: readonly Mode[] = ['sentinel', 'cluster']

/** Which node a fault of the family `node` or `link` meets. */
export function nodeOf({ nodes }: Arena, { which }: Draw): ChaosNode {
  return nodes[which % nodes.length] as ChaosNode
}

/** Whatever role it has, it is there. */
function redisOf({ redises }: Arena, { which }: Draw): TestRedis {
  return redises[which % redises.length] as TestRedis
}

async function masters({ redises }: Arena): Promise<TestRedis[]> {
  const roles = await Promise.all(redises.map(roleOf))
  return redises.filter((_, n) => roles[n] === 'master')
}

function fault(
  family: FaultKind['family'],
  name: string,
  weight: number,
  modes: readonly Mode[],
  lossyIn: readonly Mode[],
  run: FaultKind['run'],
): FaultKind {
  return { family, name, weight, modes, lossyIn, run }
}

const ofNodes: FaultKind[] = [
  fault('node', 'node-kill', 2, everywhere, ['memory'], async (arena, draw) => {
    await nodeOf(arena, draw).server?.stop('SIGKILL')
    await pace(draw.ms)
    await nodeOf(arena, draw).start()
  }),
  fault('node', 'node-term', 2, everywhere, ['memory'], async (arena, draw) => {
    await nodeOf(arena, draw).server?.stop('SIGTERM')
    await nodeOf(arena, draw).start()
  }),
  fault('node', 'node-freeze', 2, everywhere, [], async (arena, draw) => {
    const { server } = nodeOf(arena, draw)
    server?.signal('SIGSTOP')
    await pace(draw.ms)
    server?.signal('SIGCONT')
  }),
]

const ofClients: FaultKind[] = [
  fault('client', 'client-cut', 4, everywhere, [], async ({ crowd }, { which, share }) => {
    const dice = new Dice(which)
    for (const person of crowd?.persons ?? []) if (dice.chance(share)) person.cut()
  }),
  fault('client', 'client-doze', 2, everywhere, [], async ({ crowd }, { which, share, ms }) => {
    const dice = new Dice(which)
    const persons = (crowd?.persons ?? []).filter(() => dice.chance(share))
    await Promise.all(persons.map((person) => person.doze(Math.min(ms, 2500))))
  }),
]

const ofRedis: FaultKind[] = [
  fault('redis', 'redis-freeze', 3, onRedis, replicated, async (arena, draw) => {
    const redis = redisOf(arena, draw)
    redis.freeze()
    await pace(draw.ms)
    redis.thaw()
  }),
  fault('redis', 'redis-kill', 2, ['single', 'cluster'], onRedis, async (arena, draw) => {
    const redis = redisOf(arena, draw)
    await redis.kill()
    await pace(draw.ms)
    await redis.start()
  }),
  fault('redis', 'flush', 2, onRedis, onRedis, async (arena) => {
    for (const redis of await masters(arena)) await redis.command('FLUSHALL')
  }),
  fault('redis', 'script-flush', 2, onRedis, [], async (arena) => {
    for (const redis of await masters(arena)) await redis.command('SCRIPT', 'FLUSH')
  }),
  fault('redis', 'links-killed', 4, onRedis, [], async (arena, { word }) => {
    const type = word === '' ? 'normal' : 'pubsub'
    for (const redis of await masters(arena)) await redis.command('CLIENT', 'KILL', 'TYPE', type)
  }),
  fault('redis', 'redis-full', 1, onRedis, [], async (arena, draw) => {
    const redis = redisOf(arena, draw)
    await redis.command('CONFIG', 'SET', 'maxmemory', 1)
    await pace(draw.ms)
    await redis.command('CONFIG', 'SET', 'maxmemory', 0)
  }),
  fault('redis', 'sentinel-failover', 5, ['sentinel'], replicated, sentinelFailover),
  fault('redis', 'cluster-failover', 5, ['cluster'], replicated, async ({ cluster }, { which }) => {
    await cluster?.failOver(which % cluster.masters.length)
  }),
  // Nothing is lost, but the epoch ends all the same.
  fault('redis', 'slot-move', 4, ['cluster'], ['cluster'], moveSlot),
]

const ofLinks: FaultKind[] = [
  fault('link', 'link-cut', 3, ['single', 'cluster'], [], async ({ relays }, { which, word }) => {
    relays[which % relays.length]?.cut(word)
  }),
  fault('link', 'link-freeze', 5, ['single', 'cluster'], [], async ({ relays }, { which, word, ms }) => {
    const relay = relays[which % relays.length]
    relay?.freeze(word)
    await pace(ms)
    relay?.heal()
  }),
  fault('link', 'link-slow', 2, ['single', 'cluster'], [], async ({ relays }, { which, ms, share }) => {
    const relay = relays[which % relays.length]
    if (relay === undefined) return
    relay.latencyMs = share * 400
    await pace(ms)
    relay.latencyMs = 0
  }),
]

export const faultKinds: readonly FaultKind[] = [...ofNodes, ...ofClients, ...ofRedis, ...ofLinks]

async function sentinelFailover({ sentinels }: Arena): Promise<void> {
  const [sentinel] = sentinels
  if (sentinel === undefined) return
  const before = (await sentinel.master()).get('port')
  const client = new Redis(sentinel.port, { lazyConnect: true, retryStrategy: null })
  client.on('error', () => {})
  try {
    await client.connect()
    await client.call('SENTINEL', 'FAILOVER', 'mymaster')
  } finally {
    client.disconnect()
  }
  const isOver = async () => {
    const fields = await sentinel.master()
    return fields.get('port') !== before && fields.get('flags') === 'master'
  }
  await pollUntil('the failover', isOver, FAILOVER_MS)
}

/** One that holds something goes to another master. */
async function moveSlot(arena: Arena, { which }: Draw): Promise<void> {
  const all = await masters(arena)
  const [from, to] = [all[which % all.length], all[(which + 1) % all.length]]
  if (from === undefined || to === undefined || from === to) return
  const [, keys] = (await from.command('SCAN', 0, 'COUNT', 1000)) as [string, string[]]
  const key = keys[which % Math.max(1, keys.length)]
  if (key === undefined) return
  await arena.cluster?.moveSlot(Number(await from.command('CLUSTER', 'KEYSLOT', key)), from, to)
}
