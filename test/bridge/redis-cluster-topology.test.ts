// How a Cluster tells where its servers are.
import t, { type Test } from 'tap'
import { ClusterTopology } from '../../src/bridge/redis-cluster-topology.ts'
import type { Master } from '../../src/bridge/redis-topology.ts'
import { startRedisCluster } from '../support/redis.ts'
import { pollUntil } from '../support/until.ts'

const cluster = await startRedisCluster()
t.teardown(() => cluster.stop())
const addresses = cluster.servers.map(({ port }) => ({ host: '127.0.0.1', port }))

async function configure(name: string, values: string[]): Promise<void> {
  for (const [index, server] of cluster.servers.entries())
    await server.command('CONFIG', 'SET', name, values[index] ?? values[0] ?? '')
}

/** A topology that has found masters, with the latest of them. */
function topologyOf(t: Test, nodes = addresses) {
  const topology = new ClusterTopology({ kind: 'cluster', nodes, options: {} })
  t.teardown(() => topology.close())
  const found: { masters: readonly Master[] } = { masters: [] }
  topology.start((masters) => {
    found.masters = masters
  })
  // In the order of their slots.
  const finds = (expected: string[]) =>
    pollUntil(
      `masters at ${expected}`,
      () => found.masters.map(({ server: { host, port } }) => `${host}:${port}`).join() === expected.join(),
    )
  return { topology, found, finds }
}

const at = (host: string) => addresses.map(({ port }) => `${host}:${port}`)

t.test('any one server knows all, and each slot has one owner', async (t) => {
  const { found, finds } = topologyOf(t, addresses.slice(1, 2))
  await finds(at('127.0.0.1'))
  const slots = found.masters.flatMap(({ slots }) => slots).sort((a, b) => a.first - b.first)
  t.strictSame(slots, [
    { first: 0, last: 5461 },
    { first: 5462, last: 10_923 },
    { first: 10_924, last: 16_383 },
  ])
})

t.test('a Cluster that announces no host is found where it was asked', async (t) => {
  await configure('cluster-preferred-endpoint-type', ['unknown-endpoint'])
  const { finds } = topologyOf(t, [{ host: 'localhost', port: addresses[0]?.port ?? 0 }])
  await finds(at('localhost'))
})

t.test('host names are used where they are announced, and addresses where not', async (t) => {
  await configure('cluster-preferred-endpoint-type', ['hostname'])
  const without = topologyOf(t)
  await without.finds(at('127.0.0.1'))
  await configure('cluster-announce-hostname', ['localhost'])
  await without.finds(at('localhost'))
})
