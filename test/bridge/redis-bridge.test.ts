import t from 'tap'
import { bridgeContract } from '../support/bridge-contract.ts'
import { startRedis, startRedisCluster } from '../support/redis.ts'
import { redisBridge } from '../support/redis-bridge.ts'

const single = await startRedis()
const cluster = await startRedisCluster()
t.teardown(async () => {
  await single.stop()
  await cluster.stop()
})

bridgeContract('one Redis', { nodes: 2, create: (limits) => redisBridge(single.url, limits) })
bridgeContract('Redis Cluster', { nodes: 2, create: (limits) => redisBridge(cluster.url, limits) })
