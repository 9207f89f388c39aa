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
