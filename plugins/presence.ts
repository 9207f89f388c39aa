import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import type { Bridge } from '../src/bridge/bridge.ts'
import { MemoryBridge } from '../src/bridge/memory-bridge.ts'
import type { RedisBridge } from '../src/bridge/redis-bridge.ts'
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
    app.decorate<Presence>('roomcastPresence', presenceOver(app.bridge))
  },
  { name: 'roomcast-presence', dependencies: ['roomcast-bridge'] },
)

function presenceOver(bridge: Bridge): Presence {
  if (bridge instanceof MemoryBridge) return new MemoryPresence()
  const { roomChannels } = bridge as RedisBridge
  return new RedisPresence(roomChannels, { clock: systemClock, timers: systemTimers })
}
