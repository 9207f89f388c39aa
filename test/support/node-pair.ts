// Two nodes on one Redis, and what must hold for them whatever Redis does.
import type { Test } from 'tap'
import { type Client, connect } from './client.ts'
import { cpuWait } from './cpu-wait.ts'
import { quantile } from './crowd.ts'
import { bothUp, type Links, saysLinks } from './health-watch.ts'
import { startRedis, type TestRedis } from './redis.ts'
import { type Env, type Server, startServer } from './server.ts'
import { TcpRelay } from './tcp-relay.ts'
import type { Side, Traffic } from './traffic.ts'
import { pollUntil } from './until.ts'

export type Pair = readonly [Server, Server]

/** Full cross-node delivery is back so long after Redis is. */
export const BACK_MS = 5000
const LINES_A_SECOND = 10
/** A change of state may be two lines at once; what counts is what goes on. */
const BUSY_MS = 3000

/** A redis-server of the test's own. */
export async function redisFor(t: Test, args: string[] = []): Promise<TestRedis> {
  const redis = await startRedis(args)
  t.teardown(() => redis.stop())
  return redis
}

export async function relayFor(t: Test, target: number): Promise<TcpRelay> {
  const relay = await TcpRelay.open(target)
  t.teardown(() => relay.close())
  return relay
}

/** Starts a node; it is ended with the test. The message and connection rates are off unless set. */
export async function startNode(t: Test, url: string, env: Env = {}): Promise<Server> {
  const settings = { CONNECT_RATE_MAX: '0', MESSAGE_RATE: '0', REDIS_URL: url, ...env }
  const node = await startServer(settings, { waitForReady: false })
  t.teardown(() => node.stop('SIGKILL'))
  await node.ready()
  return node
}

/** Starts two nodes, and waits until they know each other. */
export async function startPair(t: Test, urls: string | [string, string], env: Env = {}): Promise<Pair> {
  const [first, second] = typeof urls === 'string' ? [urls, urls] : urls
  const pair = await Promise.all([startNode(t, first, env), startNode(t, second, env)])
  await knowEachOther(pair)
  return pair
}

/** Both nodes say that they are two, and that both connections are up. */
export async function knowEachOther(pair: Pair, nodes = 2): Promise<void> {
  for (const node of pair) {
    await saysLinks(node, bothUp, { withinMs: 10_000 })
    await pollUntil(
      `a cluster of ${nodes}`,
      async () => (await node.health()).cluster !== undefined && (await clusterOf(node)).nodes === nodes,
      15_000,
    )
  }
}

export async function clusterOf(node: Server): Promise<{ nodes: number; clients: number }> {
  return (await node.health()).cluster as { nodes: number; clients: number }
}

/** Both nodes say this of their links within 5 s. */
export async function bothSay(pair: Pair, links: Partial<Links>, sinceMs?: number): Promise<void> {
  const options = sinceMs === undefined ? {} : { sinceMs }
  await Promise.all(pair.map((node) => saysLinks(node, links, options)))
}

/**
 * Redis is back since `backMs`: within the bound /health says so on both nodes, and messages cross in both
 * directions. Resolves with when the later direction worked again.
 */
export async function isWhole(
  t: Test,
  pair: Pair,
  traffic: Traffic,
  {
    backMs,
    withinMs = BACK_MS,
    from = [0, 1],
  }: { backMs: number; withinMs?: number; from?: readonly Side[] },
): Promise<number> {
  const waits = pair.map(cpuWait)
  const waited = () => Math.max(...waits.map((wait) => wait()))
  const crossed = await Promise.all([
    ...from.map((side) => traffic.crosses(side, backMs, () => withinMs + waited())),
    ...pair.map((node) => saysLinks(node, bothUp, { sinceMs: backMs, withinMs }).then(() => 0)),
  ])
  const wholeMs = Math.max(...crossed)
  t.ok(
    wholeMs - backMs < withinMs + waited(),
    `cross-node delivery is back after ${Math.round(wholeMs - backMs)} ms`,
  )
  return wholeMs
}

/**
 * Whole again, with all messages of the time accounted for, and local delivery as fast from `fromMs` to `backMs` as it
 * was before `sinceMs`.
 */
export async function livedThrough(
  t: Test,
  pair: Pair,
  traffic: Traffic,
  { fromMs, backMs, sinceMs = fromMs }: { fromMs: number; backMs: number; sinceMs?: number },
): Promise<void> {
  await isWhole(t, pair, traffic, { backMs })
  await traffic.beats(20)
  await traffic.settle()
  traffic.verify(t, backMs)
  traffic.isLocallyFast(t, fromMs, backMs, sinceMs)
}

/** Same process, nothing on stderr, and a log that stays readable. */
export function isSound(t: Test, nodes: readonly Server[]): void {
  for (const node of nodes) {
    t.ok(node.alive, 'same PID')
    t.equal(node.stderr, '', 'nothing on stderr')
    const { most, at } = busiestTime(node)
    const boundLines = (BUSY_MS / 1000) * LINES_A_SECOND
    t.ok(most < boundLines, `${most} log lines in the busiest ${BUSY_MS} ms ${most < boundLines ? '' : at}`)
    const odd = node.stdout.filter((line) => /unhandled|already sent/i.test(line))
    t.strictSame(odd, [], 'no error that nobody has caught')
  }
}

function busiestTime(node: Server): { most: number; at: string } {
  const times = node.logs.map(({ time }) => Number(time))
  let most = 0
  let at = ''
  let first = 0
  for (const [last, time] of times.entries()) {
    while (time - (times[first] ?? time) >= BUSY_MS) first++
    if (last - first + 1 <= most) continue
    most = last - first + 1
    at = node.stdout.slice(first, last + 1).join('\n')
  }
  return { most, at }
}

/** What a node said of one link, or of both, in order. */
export function linkLines(node: Server, link?: string): string[] {
  return node.logs
    .filter((line) => line.link !== undefined && (link === undefined || line.link === link))
    .map(({ msg, reason }) => (reason === undefined ? String(msg) : `${msg} ${reason}`))
}

export interface Life {
  /** What `joined` said. */
  scope: unknown
  steps: number
}

/**
 * Clients come, join, talk, leave and go on one node, again and again until `isOver`: each step at normal latency
 * (250 ms, with room for a busy machine), and never as long as the bound of a join.
 */
export async function localLife(t: Test, node: Server, isOver: (round: number) => boolean): Promise<Life> {
  const waited = cpuWait(node)
  const times: number[] = []
  const timed = async <T>(work: Promise<T>): Promise<T> => {
    const startMs = performance.now()
    const result = await work
    times.push(performance.now() - startMs)
    return result
  }
  const open: Client[] = []
  t.teardown(() => {
    for (const { socket } of open) socket.destroy()
  })
  let scope: unknown
  for (let round = 0; !isOver(round); round++) {
    const a = await timed(connect(node, 'a'))
    const b = await timed(connect(node, 'b'))
    open.push(a, b)
    const room = `life-${round % 7}`
    scope = (await timed(a.join(room))).scope
    await timed(b.join(room))
    for (let n = 0; n < 5; n++) {
      const heard = b.next(({ content }) => content === `${round} ${n}`)
      a.say(room, `${round} ${n}`)
      await timed(heard)
    }
    await timed(a.leave(room))
    b.say(room, 'nobody')
    if ((await a.fence()).length > 0) t.fail('a message after left')
    await timed(Promise.all([a.close(), b.close()]))
  }
  // A join is two steps of eleven, so is a connect: either one waiting for Redis would show.
  const p90 = quantile(times, 0.9)
  const boundMs = 250 + (3 * waited()) / times.length
  t.ok(p90 < boundMs, `local life at ${Math.round(p90)} ms (p90 of ${times.length} steps)`)
  t.ok(quantile(times, 1) < 2500 + waited(), 'no step waits longer than the bound of a join')
  return { scope, steps: times.length }
}

/** Every key that roomcast has left has a TTL, and there are at most so many. */
export async function keysLapse(t: Test, redis: TestRedis, atMost = Infinity): Promise<void> {
  const keys = (await redis.command('KEYS', '*')) as string[]
  t.ok(keys.length <= atMost, `${keys.length} keys`)
  for (const key of keys) {
    // -2: it has lapsed since.
    if ((await redis.command('PTTL', key)) === -1) t.fail(`${key} has no TTL`)
  }
}

/** The subscribers of each channel there is, by its name. */
export async function subscribers(redis: TestRedis): Promise<Record<string, number>> {
  const channels = (await redis.command('PUBSUB', 'CHANNELS')) as string[]
  const counts = (await redis.command('PUBSUB', 'NUMSUB', ...channels)) as (string | number)[]
  return Object.fromEntries(channels.map((channel, i) => [channel, Number(counts[2 * i + 1])]))
}

/** The rooms' channels have these numbers of subscribers, and no other room has any. */
export async function roomSubscribers(redis: TestRedis, rooms: Record<string, number>): Promise<void> {
  let last = ''
  await pollUntil('subscribers', async () => {
    const counts = Object.entries(await subscribers(redis))
    const inRooms = counts.filter(([channel]) => channel.includes('room:'))
    last = JSON.stringify(Object.fromEntries(counts))
    return (
      inRooms.length === Object.keys(rooms).length &&
      inRooms.every(([channel, count]) =>
        Object.entries(rooms).some(([room, wanted]) => channel.includes(`{${room}}`) && count === wanted),
      )
    )
  }).catch((error: Error) => {
    throw new Error(`${error.message}: ${JSON.stringify(rooms)} wanted, ${last} found`)
  })
}

/** The connections of the nodes that Redis holds. */
export async function connectionsOf(redis: TestRedis): Promise<number> {
  const list = String(await redis.command('CLIENT', 'LIST'))
  return list.split('\n').filter((line) => line.includes('name=roomcast')).length
}

/** What is left when all is well again: each room subscribed once a node, three connections each, keys with a TTL. */
export async function isTidy(
  t: Test,
  redis: TestRedis,
  pair: Pair,
  rooms: Record<string, number>,
): Promise<void> {
  await roomSubscribers(redis, rooms)
  await pollUntil('three connections a node', async () => (await connectionsOf(redis)) === 6)
  await knowEachOther(pair)
  await keysLapse(t, redis)
  isSound(t, pair)
}
