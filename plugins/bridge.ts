import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import type { Bridge } from '../src/bridge/bridge.ts'
import { MemoryBridge } from '../src/bridge/memory-bridge.ts'
import { systemClock } from '../src/clock.ts'
import type { Config } from '../src/config.ts'

declare module 'fastify' {
  interface FastifyInstance {
    bridge: Bridge
  }
}

/** Decorates with the bridge that carries messages between nodes. */
export const bridgePlugin = fp(
  async (app: FastifyInstance, { config }: { config: Config }) => {
    app.decorate('bridge', new MemoryBridge(config, systemClock))
  },
  { name: 'roomcast-bridge' },
)
