// A Cluster whose masters may have replicas; on demand with relays that go silent, a slow bus, and clocks that differ.
import { freePort } from './free-port.ts'
import { TestRedis } from './redis.ts'
import { isFollowing, roleOf } from './redis-topologies.ts'
import { skewedClock } from './skewed-clock.ts'
import { TcpRelay } from './tcp-relay.ts'
import { pace, pollUntil } from './until.ts'

const LOOPBACK = '127.0.0.1'
/** Masters vote once in two of their node time-outs for the successor of one of them. */
const VOTE_MS = 2_500
/** The bus is so far above a server's port. */
const BUS = 10_000
const SLOTS = 16_384
const MASTERS = 3
/** Each has its part of the slots; a dead one stops its own only; a replica is synced at once. */
const ARGS = [
  ...['--cluster-enabled', 'yes', '--cluster-node-timeout', '1000', '--repl-diskless-sync-delay', '0'],
  ...['--cluster-require-full-coverage', 'no', '--cluster-replica-validity-factor', '0'],
]

export interface ClusterOptions {
  /** Nodes come through a relay to each server. */
  isRelayed?: boolean
  /** How long what the servers tell each other is on its way. */
  busLatencyMs?: number
  /** How much the clock of each master is ahead. */
  skewMs?: readonly number[]
}

/** A server of it, and the relays to it. */
export interface ClusterMember {
  server: TestRedis
  /** What nodes and the other servers know. */
  port: number
  busPort: number
  relays: TcpRelay[]
}

/** Three masters that share the slots; so many of them have a replica. */
export async function startCluster(replicaCount: number, options: ClusterOptions = {}): Promise<TestCluster> {
  const start = (count: number) =>
    Promise.all(Array.from({ length: count }, (_, index) => startMember(options, index)))
  const [masters, replicas] = [await start(MASTERS), await start(replicaCount)]
  const cluster = new TestCluster(masters, replicas)
  await cluster.form()
  return cluster
}

async function startMember(
  { isRelayed = false, busLatencyMs = 0, skewMs = [] }: ClusterOptions,
  index: number,
): Promise<ClusterMember> {
  const port = await freePort()
  const relays = isRelayed ? [await TcpRelay.open(port)] : []
  const bus = busLatencyMs > 0 ? await TcpRelay.open(port + BUS) : undefined
  if (bus !== undefined) {
    bus.latencyMs = busLatencyMs
    relays.push(bus)
  }
  const known = { port: isRelayed ? (relays[0]?.port ?? port) : port, busPort: bus?.port ?? port + BUS }
  const announced = ['--cluster-announce-ip', LOOPBACK, '--cluster-announce-port', String(known.port)]
  const args = [...ARGS, ...announced, '--cluster-announce-bus-port', String(known.busPort)]
  const server = new TestRedis(port, args, skewedClock(skewMs[index] ?? 0))
  await server.start()
  return { server, ...known, relays }
}

export class TestCluster {
  readonly masters: TestRedis[]
  /** One for each of the first masters. */
  readonly replicas: TestRedis[]
  readonly url: string
  readonly #members: ClusterMember[]
  /** When each part was last failed over. */
  readonly #failedOverAtMs = new Map<number, number>()

  constructor(masters: ClusterMember[], replicas: ClusterMember[]) {
    this.masters = masters.map(({ server }) => server)
    this.replicas = replicas.map(({ server }) => server)
    this.#members = [...masters, ...replicas]
    this.url = `redis+cluster://${this.#members.map(({ port }) => `${LOOPBACK}:${port}`).join(',')}`
  }

  get servers(): TestRedis[] {
    return [...this.masters, ...this.replicas]
  }

  /** The relay through which nodes reach the server. */
  relayOf(server: TestRedis): TcpRelay {
    return this.#members[this.servers.indexOf(server)]?.relays[0] as TcpRelay
  }

  /** The server that has these slots now, the first, second or third third of them, and its replica. */
  async holders(part: number): Promise<{ master: TestRedis; replica: TestRedis }> {
    const [one, two] = [this.masters[part], this.replicas[part]] as [TestRedis, TestRedis]
    return (await roleOf(one)) === 'master' ? { master: one, replica: two } : { master: two, replica: one }
  }

  /** Exchanges a part's master and replica, as one does before maintenance; resolves when the new one is master. */
  async failOver(part: number): Promise<void> {
    const { replica } = await this.holders(part)
    await isFollowing(replica)
    // Without its votes the master would only stand still for five seconds.
    await pace(Math.max(0, (this.#failedOverAtMs.get(part) ?? -Infinity) + VOTE_MS - performance.now()))
    this.#failedOverAtMs.set(part, performance.now())
    await replica.command('CLUSTER', 'FAILOVER')
    await pollUntil('the replica is promoted', async () => (await roleOf(replica)) === 'master', 10_000)
  }

  /** Moves a slot with its keys, as redis-cli does. */
  async moveSlot(slot: number, from: TestRedis, to: TestRedis): Promise<void> {
    // Two changes of a slot that cross each other on a slow bus may leave it with two masters that each name the other.
    await pollUntil('the servers agree', () => this.#agrees(), 10_000)
    const [fromId, toId] = [await from.command('CLUSTER', 'MYID'), await to.command('CLUSTER', 'MYID')]
    await to.command('CLUSTER', 'SETSLOT', slot, 'IMPORTING', String(fromId))
    await from.command('CLUSTER', 'SETSLOT', slot, 'MIGRATING', String(toId))
    for (;;) {
      const keys = (await from.command('CLUSTER', 'GETKEYSINSLOT', slot, 100)) as string[]
      if (keys.length === 0) break
      await from.command('MIGRATE', LOOPBACK, to.port, '', 0, 5000, 'KEYS', ...keys)
    }
    for (const server of [to, from]) await server.command('CLUSTER', 'SETSLOT', slot, 'NODE', String(toId))
    // What was under way on a slow bus may undo it at the new owner, which then has to be told again.
    const isDone = async () => {
      if (await this.#agrees()) return true
      await to.command('CLUSTER', 'SETSLOT', slot, 'NODE', String(toId))
      return false
    }
    await pollUntil('all know of the move', isDone, 10_000)
  }

  async slotOf(room: string): Promise<number> {
    return Number(await this.masters[0]?.command('CLUSTER', 'KEYSLOT', room))
  }

  /** Rooms by the part that their slot is of, `count` of each. */
  async roomsByPart(count: number): Promise<string[][]> {
    const parts: string[][] = this.masters.map(() => [])
    for (let n = 0; parts.some((rooms) => rooms.length < count); n++) {
      const room = `room-${n}`
      const rooms = parts[Math.floor((await this.slotOf(room)) / perMaster)]
      if (rooms !== undefined && rooms.length < count) rooms.push(room)
    }
    return parts
  }

  /** Makes them one Cluster; resolves when all of them know that. */
  async form(): Promise<void> {
    const [first] = this.servers as [TestRedis]
    for (const [index, { server, port, busPort }] of this.#members.entries()) {
      if (index < MASTERS) {
        const end = Math.min(SLOTS - 1, (index + 1) * perMaster - 1)
        await server.command('CLUSTER', 'ADDSLOTSRANGE', index * perMaster, end)
      }
      await server.command('CLUSTER', 'SET-CONFIG-EPOCH', index + 1)
      if (server !== first) await first.command('CLUSTER', 'MEET', LOOPBACK, port, busPort)
    }
    for (const server of this.servers) await pollUntil('the cluster', () => this.#isKnownTo(server), 20_000)
    for (const [index, replica] of this.replicas.entries()) {
      const id = String(await this.masters[index]?.command('CLUSTER', 'MYID'))
      await pollUntil('the replica knows its master', async () => {
        return (await replica.command('CLUSTER', 'REPLICATE', id).catch(() => undefined)) === 'OK'
      })
      await isFollowing(replica)
    }
    // Clients learn from any of them which replica is whose.
    for (const server of this.servers)
      await pollUntil('the replicas are known', () => this.#hasReplicas(server), 20_000)
  }

  async stop(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.stop()))
    await Promise.all(this.#members.flatMap(({ relays }) => relays.map((relay) => relay.close())))
  }

  async #isKnownTo(server: TestRedis): Promise<boolean> {
    const info = String(await server.command('CLUSTER', 'INFO'))
    return info.includes(`cluster_known_nodes:${this.servers.length}`) && info.includes('cluster_state:ok')
  }

  /** All servers say the same of who has which slots, and since which epoch. */
  async #agrees(): Promise<boolean> {
    const views = this.servers.map(async (server) => {
      const lines = String(await server.command('CLUSTER', 'NODES')).split('\n')
      // <id> <address> <flags> <master> <ping> <pong> <epoch> <state> <slots>…
      const masters = lines.map((line) => line.split(' ')).filter(([, , flags]) => flags?.includes('master'))
      return masters
        .map(([id, , , , , , epoch, , ...slots]) => [id, epoch, ...slots].join(' '))
        .sort()
        .join('\n')
    })
    return new Set(await Promise.all(views)).size === 1
  }

  async #hasReplicas(server: TestRedis): Promise<boolean> {
    const lines = String(await server.command('CLUSTER', 'NODES')).split('\n')
    return lines.filter((line) => / (myself,)?slave /.test(line)).length === this.replicas.length
  }
}

const perMaster = Math.ceil(SLOTS / MASTERS)
