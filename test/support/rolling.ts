// A deploy: both nodes behind the balancer are restarted one after the other, and nobody misses or repeats a message.
import { randomUUID } from 'node:crypto'
import type { Test } from 'tap'
import { type AnyBalancer, Balancer } from './balancer.ts'
import { quantile } from './crowd.ts'
import { Follower, Ledger } from './follower.ts'
import { freePort } from './free-port.ts'
import { nodesAre } from './nodes.ts'
import type { Address } from './raw-socket.ts'
import { startRedis } from './redis.ts'
import { type Env, type Server, startServer } from './server.ts'
import { SteadyPublisher } from './steady-publisher.ts'
import { tokenFor } from './token.ts'
import { pace, pollUntil } from './until.ts'

export interface RollingOptions {
  clients: number
  /** How often both nodes are restarted. */
  rounds: number
  everyMs: number
  env?: Env
  /** nginx, unless it says otherwise. */
  proxy?: StartProxy
}
type StartProxy<P extends AnyBalancer = AnyBalancer> = (nodes: readonly Address[]) => Promise<P>

/** One Redis, two nodes on fixed ports, nginx in front of them; all ended with the test. */
export function startDeployment(t: Test, env: Env = {}) {
  return startBehind(t, Balancer.start, env)
}

/** The same behind any proxy. */
export async function startBehind<P extends AnyBalancer>(t: Test, startProxy: StartProxy<P>, env: Env = {}) {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  const ports = [await freePort(), await freePort()]
  const start = (port: number) =>
    startServer({
      ...{ CONNECT_RATE_MAX: '0', TRUST_PROXY: '127.0.0.1', REDIS_URL: redis.url },
      ...{ NODE_ENV: 'production', PORT: String(port), ...env },
    })
  const nodes = await Promise.all(ports.map(start))
  t.teardown(() => Promise.all(nodes.map((node) => node.stop())))
  const balancer = await startProxy(nodes)
  t.teardown(() => balancer.stop())
  await Promise.all(nodes.map((node) => nodesAre(node, 2)))
  /** Stops a node as a deploy does, and starts its successor on its port; resolves with how long the stop took. */
  const restart = async (index: number): Promise<number> => {
    const old = nodes[index] as Server
    const startMs = performance.now()
    old.signal('SIGTERM')
    t.same(await old.exited(), { code: 0, signal: null }, 'a clean exit')
    const tookMs = performance.now() - startMs
    t.equal(old.stderr, '')
    nodes[index] = await start(ports[index] as number)
    await nodesAre(nodes[index] as Server, 2, 20_000)
    return tookMs
  }
  return { redis, nodes, balancer, restart }
}

export interface CrowdOptions {
  clients: number
  everyMs: number
  /** Where the publisher, and where each follower connects; asked before each attempt. */
  publisherAt: () => Address
  followerAt: (n: number) => Address
}

/** A publisher and followers in a room of their own, all joined; ended with the test. */
export async function startFollowers(t: Test, { clients, everyMs, publisherAt, followerAt }: CrowdOptions) {
  const room = `crowd-${randomUUID()}`
  const ledger = new Ledger()
  const followers = Array.from(
    { length: clients },
    (_, n) => new Follower({ room, ledger, token: tokenFor(`u${n}`), address: () => followerAt(n) }),
  )
  const publisher = new SteadyPublisher({ room, user: 'p', everyMs, address: publisherAt })
  t.teardown(() => {
    publisher.abandon()
    for (const follower of followers) follower.drop()
  })
  for (const follower of followers) {
    follower.begin()
    await pace(1)
  }
  const allJoined = () => followers.every(({ isJoined }) => isJoined)
  await ledger.until('all have joined', allJoined, 60_000)
  /** Ends the publishing, waits until everybody has the last message, and verifies every delivery. */
  const finish = async () => {
    await publisher.finish()
    const last = Math.max(...ledger.numbers.keys())
    await pollUntil(
      'everybody has the last message',
      () => followers.every(({ position, isJoined }) => isJoined && position?.offset === last),
      30_000,
    )
    verifyDelivery(t, followers, ledger, publisher)
  }
  return { followers, ledger, allJoined, finish }
}

export async function rollingRestart(
  t: Test,
  { clients, rounds, everyMs, env = {}, proxy = Balancer.start }: RollingOptions,
): Promise<void> {
  const { nodes, balancer, restart } = await startBehind(t, proxy, env)
  const at = () => balancer
  const { followers, ledger, allJoined, finish } = await startFollowers(t, {
    clients,
    everyMs,
    publisherAt: at,
    followerAt: at,
  })
  const homes = new Set(followers.map(({ node }) => node))
  t.equal(homes.size, 2, 'both nodes have clients')

  for (let round = 0; round < rounds; round++) {
    for (const index of nodes.keys()) {
      const tookMs = await restart(index)
      await ledger.until(
        () =>
          `all are back: ${JSON.stringify(followers.filter(({ isJoined }) => !isJoined))}; ${balancer.errors}`,
        allJoined,
        10_000,
      )
      t.comment(`node ${index + 1} stopped in ${Math.round(tookMs)} ms`)
    }
  }
  await finish()
  const returns = followers.flatMap((follower) => follower.returns)
  t.ok(returns.length >= clients, `${returns.length} returns`)
  const awayMs = returns.map(({ lostAtMs, joinedAtMs }) => joinedAtMs - lostAtMs)
  t.comment(
    `away: p50 ${Math.round(quantile(awayMs, 0.5))} ms, p95 ${Math.round(quantile(awayMs, 0.95))} ms, ` +
      `${followers.reduce((sum, { failures }) => sum + failures, 0)} attempts failed`,
  )
}

/** Every message reached every follower exactly once, and no return was without recovery. */
function verifyDelivery(
  t: Test,
  followers: Follower[],
  ledger: Ledger,
  { sent, nodeScoped, duplicates }: SteadyPublisher,
): void {
  const numbers = new Set(ledger.numbers.values())
  t.equal(numbers.size, sent, `all of ${sent} messages were published`)
  t.equal(ledger.numbers.size, numbers.size, 'each of them once')
  const returns = followers.flatMap((follower) => follower.returns)
  const lost = returns.filter(({ recovered }) => !recovered).length
  t.equal(lost, 0, `${lost} of ${returns.length} returns were without recovery`)
  const faults = followers.flatMap((follower) => follower.faults)
  t.same(faults.slice(0, 5), [], `${faults.length} faults: none missing, none twice, all in order`)
  const missed = returns.reduce((sum, one) => sum + one.missed, 0)
  const delivered = followers.reduce((sum, { count }) => sum + count, 0)
  const due = followers.reduce(
    (sum, { firstOffset, position }) => sum + (position?.offset ?? 0) - firstOffset,
    0,
  )
  const local = followers.reduce((sum, one) => sum + one.local, 0)
  t.equal(delivered, due, `${((100 * delivered) / due).toFixed(2)} % of ${due} deliveries`)
  t.comment(
    `${sent} messages, ${delivered} deliveries (${((100 * delivered) / due).toFixed(2)} %), ${missed} of them recovered ` +
      `in ${returns.length} returns; delay p50 ${ms(ledger.delaysMs, 0.5)}, p99 ${ms(ledger.delaysMs, 0.99)}, ` +
      `max ${ms(ledger.delaysMs, 1)}; ${nodeScoped} acks said node, ${duplicates} duplicate; ${local} came without offset`,
  )
}

const ms = (values: number[], part: number) => `${Math.round(quantile(values, part))} ms`
