// The conformance suite where a client's connections are of several nodes, and rooms of several masters.
import t from 'tap'
import { isWhole, runAgainst, startWithEverything, those } from '../conformance/checked.ts'
import { Balancer } from '../support/balancer.ts'
import { freePort } from '../support/free-port.ts'
import { startRedis } from '../support/redis.ts'
import { startCluster } from '../support/test-cluster.ts'
import { pollUntil } from '../support/until.ts'

const WORKERS = 2
/** What differs from run to run has its chance. */
const ROUNDS = 5

t.test('roomcast with a Cluster passes', async (t) => {
  const cluster = await startCluster(0)
  t.teardown(() => cluster.stop())
  const server = await startWithEverything(t, { REDIS_URL: cluster.url })
  for (let round = 0; round < ROUNDS; round++) isWhole(t, await runAgainst(server.url()))
})

t.test('roomcast with workers, each a node, passes', async (t) => {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  const env = { REDIS_URL: redis.url, WORKERS: String(WORKERS), PORT: String(await freePort()) }
  const server = await startWithEverything(t, env)
  await pollUntil('the nodes know each other', async () => {
    const { cluster } = await server.health()
    return (cluster as { nodes: number }).nodes === WORKERS
  })
  for (let round = 0; round < ROUNDS; round++) isWhole(t, await runAgainst(server.url()))
})

t.test('two nodes behind nginx pass; it keeps /health and /metrics to itself', async (t) => {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  const env = { REDIS_URL: redis.url, TRUST_PROXY: 'loopback' }
  const nodes = [await startWithEverything(t, env), await startWithEverything(t, env)]
  const balancer = await Balancer.start(nodes)
  t.teardown(() => balancer.stop())
  for (let round = 0; round < ROUNDS; round++) {
    const report = await runAgainst(balancer.url('/'))
    t.strictSame(those(report, 'failed'), [])
    const skipped = those(report, 'skipped').filter((line) => !/^(Health|Presence: without)/.test(line))
    t.strictSame(skipped, [])
  }
})
