// The recovery contract on a Cluster. Recovery at size, on two nodes and one Redis: connections that drop at random, a node that is killed, many deploys.
import t, { type Test } from 'tap'
import { quantile } from '../support/crowd.ts'
import type { Follower } from '../support/follower.ts'
import { Haproxy } from '../support/haproxy.ts'
import { hasCommand } from '../support/has-command.ts'
import { hasNginx } from '../support/nginx.ts'
import { startNodes } from '../support/nodes.ts'
import { recoveryContract } from '../support/recovery-contract.ts'
import { startRedis } from '../support/redis.ts'
import { rollingRestart, startFollowers } from '../support/rolling.ts'
import type { Server } from '../support/server.ts'
import { startCluster } from '../support/test-cluster.ts'
import { pace } from '../support/until.ts'

/** What one test process reads and checks on two cores that it shares with two nodes and Redis. */
const CLIENTS = Number(process.env.RECOVERY_CLIENTS ?? 2000)
const AWAY_MS = 2000
const noHaproxy = hasCommand('haproxy') ? false : 'haproxy is not installed'
const noNginx = hasNginx() ? false : 'nginx is not installed'

const cluster = await startCluster(0)
t.teardown(() => cluster.stop())
let prefixes = 0
recoveryContract(t, 'two nodes on a Redis Cluster', {
  start: (t, env) =>
    startNodes(t, 2, { REDIS_URL: cluster.url, REDIS_PREFIX: `recovery-${prefixes++}:`, ...env }),
  forget: () => Promise.all(cluster.masters.map((master) => master.command('FLUSHALL'))),
})

/** Followers of one room on two nodes, ten messages a second; `nodeOf` chooses where each attempt goes. */
async function startCrowd(t: Test, count: number, nodeOf: (nodes: Server[], n: number) => Server) {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  const nodes = await startNodes(t, 2, { REDIS_URL: redis.url, CONNECT_RATE_MAX: '0' })
  const crowd = await startFollowers(t, {
    clients: count,
    everyMs: 100,
    publisherAt: () => nodes[0] as Server,
    followerAt: (n) => nodeOf(nodes, n),
  })
  return { nodes, ...crowd }
}

t.test(`${CLIENTS} clients whose connections drop for 2 s at random`, async (t) => {
  const either = (nodes: Server[]) => nodes[Math.floor(Math.random() * nodes.length)] as Server
  const { followers, finish } = await startCrowd(t, CLIENTS, either)
  const untilMs = performance.now() + 30_000
  // Each drops once in 15 s or so; where it comes back is chance.
  const dropsAStep = Math.ceil(CLIENTS / 300)
  const away: Promise<void>[] = []
  while (performance.now() < untilMs) {
    for (let n = 0; n < dropsAStep; n++) {
      const follower = followers[Math.floor(Math.random() * followers.length)] as Follower
      if (!follower.isJoined) continue
      follower.drop()
      away.push(pace(AWAY_MS).then(() => follower.begin()))
    }
    await pace(50)
  }
  await Promise.all(away)
  await finish()
})

t.test('a node killed under its clients', async (t) => {
  const home = (nodes: Server[], n: number) =>
    (nodes.filter(({ alive }) => alive)[n % 2] ?? nodes.find(({ alive }) => alive)) as Server
  const { nodes, ledger, followers, finish } = await startCrowd(t, CLIENTS, home)
  await pace(2000)
  const victims = followers.filter(({ node }, n) => node !== '' && n % 2 === 1)
  await nodes[1]?.stop('SIGKILL')
  const killedMs = performance.now()
  await ledger.until(
    'all are back',
    () => victims.every(({ isJoined, returns }) => isJoined && returns.length > 0),
    30_000,
  )
  const backMs = victims.map(({ returns }) => (returns[0]?.joinedAtMs ?? Number.NaN) - killedMs)
  const p95 = quantile(backMs, 0.95)
  t.comment(
    `${victims.length} clients back after p50 ${Math.round(quantile(backMs, 0.5))} ms, p95 ${Math.round(p95)} ms`,
  )
  t.ok(p95 <= 3000, 'p95 of the time to recover is at most 3 s')
  await finish()
})

t.test('three deploys behind nginx', { skip: noNginx }, (t) =>
  rollingRestart(t, { clients: 300, rounds: 3, everyMs: 50, env: { DRAIN_MS: '2000' } }),
)

t.test('three deploys behind HAProxy', { skip: noHaproxy }, (t) =>
  rollingRestart(t, {
    ...{ clients: 300, rounds: 3, everyMs: 50, env: { DRAIN_MS: '2000' } },
    proxy: Haproxy.start,
  }),
)
