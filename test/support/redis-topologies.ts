// Redis as it is run in earnest: a master with a replica and Sentinels, or a Cluster whose masters may have replicas.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { freePort } from './free-port.ts'
import { Program } from './program.ts'
import { startRedis, type TestRedis } from './redis.ts'
import { pollUntil } from './until.ts'

/** A replica is synced at once, not after the five seconds in which more might come. */
const SYNC_AT_ONCE = ['--repl-diskless-sync-delay', '0']
const LOOPBACK = '127.0.0.1'

export async function startReplicaOf(master: TestRedis): Promise<TestRedis> {
  const replica = await startRedis([...SYNC_AT_ONCE, '--replicaof', LOOPBACK, String(master.port)])
  await isFollowing(replica)
  return replica
}

export function startMaster(): Promise<TestRedis> {
  return startRedis(SYNC_AT_ONCE)
}

/** The replica has the master's data and hears of every write. */
export async function isFollowing(replica: TestRedis): Promise<void> {
  const isUp = async () => /master_link_status:up/.test(String(await replica.command('INFO', 'replication')))
  await pollUntil('the replica follows', isUp, 15_000)
}

/** What the server says that it is; undefined while it cannot be asked. */
export async function roleOf(server: TestRedis): Promise<string | undefined> {
  const info = await server.command('INFO', 'replication').catch(() => '')
  return /role:(\w+)/.exec(String(info))?.[1]
}

/** A real Sentinel. */
export class TestSentinel {
  readonly port: number
  readonly #program: Program

  constructor(port: number, folder: string, lines: string[]) {
    this.port = port
    // Sentinels write their configuration anew.
    const file = join(folder, `${port}.conf`)
    writeFileSync(file, [`port ${port}`, `bind ${LOOPBACK}`, `dir ${folder}`, ...lines, ''].join('\n'))
    this.#program = new Program('redis-server', [file, '--sentinel'], {})
  }

  /** What it says of the master, by field. */
  async master(): Promise<Map<string, string>> {
    const client = new Redis(this.port, { lazyConnect: true, retryStrategy: null })
    client.on('error', () => {})
    try {
      await client.connect()
      const fields = (await client.call('SENTINEL', 'MASTER', 'mymaster')) as string[]
      return new Map(fields.flatMap((name, i) => (i % 2 ? [] : [[name, String(fields[i + 1])] as const])))
    } catch {
      return new Map()
    } finally {
      client.disconnect()
    }
  }

  async kill(): Promise<void> {
    this.#program.signal('SIGKILL')
    await this.#program.exited()
  }

  async stop(): Promise<void> {
    await this.#program.end()
  }
}

export interface SentinelSet {
  master: TestRedis
  replica: TestRedis
  sentinels: TestSentinel[]
  url: string
  stop(): Promise<void>
}

/** One master, one replica, and three Sentinels, two of which must agree. */
export async function startSentinelSet(downAfterMs: number): Promise<SentinelSet> {
  const folder = mkdtempSync(join(tmpdir(), 'roomcast-sentinel-'))
  const master = await startMaster()
  const replica = await startReplicaOf(master)
  const sentinels: TestSentinel[] = []
  for (let n = 0; n < 3; n++) {
    sentinels.push(
      new TestSentinel(await freePort(), folder, [
        `sentinel monitor mymaster ${LOOPBACK} ${master.port} 2`,
        `sentinel down-after-milliseconds mymaster ${downAfterMs}`,
        'sentinel failover-timeout mymaster 5000',
      ]),
    )
  }
  for (const sentinel of sentinels) {
    await pollUntil(
      'the Sentinels know the replica and each other',
      async () => {
        const fields = await sentinel.master()
        return fields.get('num-other-sentinels') === '2' && fields.get('num-slaves') === '1'
      },
      20_000,
    )
  }
  const stop = async () => {
    await Promise.all([master, replica, ...sentinels].map((server) => server.stop()))
    rmSync(folder, { recursive: true, force: true })
  }
  const hosts = sentinels.map(({ port }) => `${LOOPBACK}:${port}`).join(',')
  return { master, replica, sentinels, url: `redis+sentinel://${hosts}/mymaster`, stop }
}

export interface ClusterSet {
  masters: TestRedis[]
  /** One for each of the first masters. */
  replicas: TestRedis[]
  url: string
  stop(): Promise<void>
}

/** Three masters that share the slots; so many of them have a replica. A dead one stops its own slots only. */
export async function startCluster(replicaCount: number): Promise<ClusterSet> {
  const args = [
    ...['--cluster-enabled', 'yes', '--cluster-node-timeout', '1000'],
    ...['--cluster-require-full-coverage', 'no', '--cluster-replica-validity-factor', '0', ...SYNC_AT_ONCE],
  ]
  const start = (count: number) => Promise.all(Array.from({ length: count }, () => startRedis(args)))
  const [masters, replicas] = [await start(3), await start(replicaCount)]
  const all = [...masters, ...replicas]
  const [first] = masters as [TestRedis]
  const perMaster = Math.ceil(16_384 / masters.length)
  for (const [index, server] of all.entries()) {
    if (index < masters.length) {
      const end = Math.min(16_383, (index + 1) * perMaster - 1)
      await server.command('CLUSTER', 'ADDSLOTSRANGE', index * perMaster, end)
    }
    await server.command('CLUSTER', 'SET-CONFIG-EPOCH', index + 1)
    if (server !== first) await first.command('CLUSTER', 'MEET', LOOPBACK, server.port)
  }
  const knowAll = async (server: TestRedis) => {
    const info = String(await server.command('CLUSTER', 'INFO'))
    return info.includes(`cluster_known_nodes:${all.length}`) && info.includes('cluster_state:ok')
  }
  for (const server of all) await pollUntil('the cluster', () => knowAll(server), 20_000)
  for (const [index, replica] of replicas.entries()) {
    const id = String(await masters[index]?.command('CLUSTER', 'MYID'))
    await pollUntil('the replica knows its master', async () => {
      return (await replica.command('CLUSTER', 'REPLICATE', id).catch(() => undefined)) === 'OK'
    })
    await isFollowing(replica)
  }
  // Clients learn from any of them which replica is whose.
  for (const server of all) {
    await pollUntil(
      'the replicas are known',
      async () => {
        const lines = String(await server.command('CLUSTER', 'NODES')).split('\n')
        return lines.filter((line) => / (myself,)?slave /.test(line)).length === replicaCount
      },
      20_000,
    )
  }
  return {
    masters,
    replicas,
    url: `redis+cluster://${all.map(({ port }) => `${LOOPBACK}:${port}`).join(',')}`,
    stop: async () => {
      await Promise.all(all.map((server) => server.stop()))
    },
  }
}
