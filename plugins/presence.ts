import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { RedisBridge } from '../src/bridge/redis-bridge.ts'
import { systemClock, systemTimers } from '../src/clock.ts'
import { MemoryPresence } from '../src/presence/memory-presence.ts'
import type { Presence } from '../src/presence/presence.ts'
import { RedisPresence } from '../src/presence/redis-presence.ts'

declare module 'fastify' {
  interface FastifyInstance {
    roomcastPresence: Presence
  }
}

/** Decorates with what tells the nodes of each other's users. */
export const presencePlugin = fp(
  async (app: FastifyInstance) => {
    const { bridge } = app
    app.decorate<Presence>(
      'roomcastPresence',
      bridge instanceof RedisBridge
        ? new RedisPresence(bridge.roomChannels, { clock: systemClock, timers: systemTimers })
        : new MemoryPresence(),
    )
  },
  { name: 'roomcast-presence', dependencies: ['roomcast-bridge'] },
)
