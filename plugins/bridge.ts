import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import type { Bridge } from '../src/bridge/bridge.ts'
import { MemoryBridge } from '../src/bridge/memory-bridge.ts'
import { parseRedisUrl } from '../src/bridge/redis-url.ts'
import { systemClock } from '../src/clock.ts'
import type { Config } from '../src/config.ts'
import type { Log } from '../src/log.ts'

declare module 'fastify' {
  interface FastifyInstance {
    bridge: Bridge
  }
}

/** Decorates with the bridge that carries messages between nodes. */
export const bridgePlugin = fp(
  async (app: FastifyInstance, { config }: { config: Config }) => {
    app.decorate('bridge', await createBridge(config, app.log))
    // Before the first client: a join should not find Redis merely not there yet.
    app.addHook('onReady', async () => {
      await app.bridge.whenUp(config.bridgeTimeoutMs)
    })
  },
  { name: 'roomcast-bridge' },
)

async function createBridge(config: Config, log: Log): Promise<Bridge> {
  const target = config.redisUrl === undefined ? undefined : parseRedisUrl(config.redisUrl)
  if (target === undefined) return new MemoryBridge(config, systemClock)
  // Loaded where it is wanted: a driver takes time and memory.
  const { RedisBridge } = await import('../src/bridge/redis-bridge.ts')
  return new RedisBridge({
    ...config,
    target,
    prefix: config.redisPrefix,
    timeoutMs: config.bridgeTimeoutMs,
    clock: systemClock,
    log,
  })
}
