// What a chaos run is played on: nodes as processes, on Redis in one of its forms, or a single one in memory.
import { freePort } from '../free-port.ts'
import { startRedis, type TestRedis } from '../redis.ts'
import { startSentinelSet, type TestSentinel } from '../redis-topologies.ts'
import { type Env, type Server, startServer } from '../server.ts'
import { TcpRelay } from '../tcp-relay.ts'
import { startCluster, type TestCluster } from '../test-cluster.ts'
import type { Crowd } from './crowd.ts'
import type { Place } from './person.ts'

export const modes = ['memory', 'single', 'sentinel', 'cluster'] as const
export type Mode = (typeof modes)[number]

const NODES = 3
/** The server pings often enough for clients that give up after `SILENT_MS`. */
const settings: Env = {
  MESSAGE_RATE: '0',
  CONNECT_RATE_MAX: '0',
  HISTORY_SIZE: '300',
  PING_INTERVAL_MS: '1000',
  PONG_TIMEOUT_MS: '3000',
  SHUTDOWN_GRACE_MS: '3000',
}

/** A node that can be ended and started again on its port. */
export class ChaosNode {
  readonly index: number
  /** Its processes, the one that runs now last. */
  readonly servers: Server[] = []
  readonly #env: Env
  readonly #port: number

  constructor(index: number, port: number, env: Env) {
    this.index = index
    this.#port = port
    this.#env = { ...settings, ...env, PORT: String(port) }
  }

  get server(): Server | undefined {
    return this.servers.at(-1)
  }

  get place(): Place {
    return { index: this.index, address: { host: '127.0.0.1', port: this.#port } }
  }

  async start(): Promise<void> {
    const server = await startServer(this.#env, { waitForReady: false })
    this.servers.push(server)
    await server.ready()
  }
}

export interface Arena {
  mode: Mode
  nodes: ChaosNode[]
  redises: TestRedis[]
  sentinels: TestSentinel[]
  cluster?: TestCluster
  /** With one Redis what stands between it and each node, with a Cluster between all nodes and each server. */
  relays: TcpRelay[]
  /** Comes when the run begins. */
  crowd?: Crowd
  close(): Promise<void>
}

/** Starts Redis and the nodes; `close` ends what is there. */
export async function openArena(mode: Mode): Promise<Arena> {
  const closers: (() => Promise<unknown>)[] = []
  const arena: Arena = {
    ...{ mode, nodes: [], redises: [], sentinels: [], relays: [] },
    close: async () => {
      for (const closer of closers.reverse()) await closer()
    },
  }
  try {
    const urls = await openRedis(arena, closers)
    for (const [index, url] of urls.entries()) {
      const node = new ChaosNode(index, await freePort(), url === '' ? {} : { REDIS_URL: url })
      arena.nodes.push(node)
      closers.push(async () => node.server?.stop())
    }
    await Promise.all(arena.nodes.map((node) => node.start()))
  } catch (error) {
    await arena.close()
    throw error
  }
  return arena
}

/** Resolves with the nodes' URLs; '' for memory. */
async function openRedis(arena: Arena, closers: (() => Promise<unknown>)[]): Promise<string[]> {
  if (arena.mode === 'memory') return ['']
  if (arena.mode === 'single') {
    const redis = await startRedis()
    arena.redises = [redis]
    closers.push(() => redis.stop())
    for (let n = 0; n < NODES; n++) {
      const relay = await TcpRelay.open(redis.port)
      arena.relays.push(relay)
      closers.push(() => relay.close())
    }
    return arena.relays.map(({ url }) => url)
  }
  if (arena.mode === 'sentinel') {
    const set = await startSentinelSet(1500)
    arena.redises = [set.master, set.replica]
    arena.sentinels = set.sentinels
    closers.push(() => set.stop())
    return Array(NODES).fill(set.url)
  }
  const cluster = await startCluster(NODES, { isRelayed: true })
  arena.cluster = cluster
  arena.redises = cluster.servers
  arena.relays = cluster.servers.map((server) => cluster.relayOf(server))
  closers.push(() => cluster.stop())
  return Array(NODES).fill(cluster.url)
}
