import type { Test } from 'tap'
import { Balancer } from '../../../test/support/balancer.ts'
import { freePort } from '../../../test/support/free-port.ts'
import { startRedis, type TestRedis } from '../../../test/support/redis.ts'
import { type Server, startServer } from '../../../test/support/server.ts'

const NODES = 3
/** Nobody is away for so many messages: what is missed can always be recovered. */
const RULES = JSON.stringify([
  { match: '*', history: { size: 10_000, ttlMs: 600_000, maxBytes: 16_777_216 } },
])
/** Acked is written: a Redis that is killed has forgotten nothing. */
const KEEPING = ['--appendonly', 'yes', '--appendfsync', 'always']

/** Where a run takes place: nginx, three nodes, one Redis; each can be ended and begun again where it was. */
export interface Place {
  url: string
  nodes: readonly Server[]
  redis: TestRedis
  /** Begins the node anew on its port, when it has ended. */
  restart(index: number): Promise<void>
  restartRedis(): Promise<void>
}

/** All of it is ended with the test. */
export async function startPlace(t: Test): Promise<Place> {
  const redis = await startRedis(KEEPING)
  t.teardown(() => redis.stop())
  const ports = await Promise.all(Array.from({ length: NODES }, () => freePort()))
  const start = (port: number) =>
    startServer({
      ...{ REDIS_URL: redis.url, ROOM_RULES: RULES, PORT: String(port), TRUST_PROXY: '127.0.0.1' },
      ...{ CONNECT_RATE_MAX: '0', MESSAGE_RATE: '0', PING_INTERVAL_MS: '1000', PONG_TIMEOUT_MS: '1000' },
      SHUTDOWN_GRACE_MS: '5000',
    })
  const nodes = await Promise.all(ports.map(start))
  t.teardown(() => Promise.all(nodes.map((node) => node.stop('SIGKILL'))))
  const balancer = await Balancer.start(nodes)
  t.teardown(() => balancer.stop())
  return {
    url: balancer.url('/'),
    nodes,
    redis,
    restart: async (index) => {
      await nodes[index]?.exited()
      nodes[index] = await start(ports[index] as number)
    },
    restartRedis: () => redis.start(KEEPING),
  }
}
