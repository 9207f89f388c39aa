import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { MemoryPresence } from '../src/presence/memory-presence.ts'
import type { Presence } from '../src/presence/presence.ts'

declare module 'fastify' {
  interface FastifyInstance {
    roomcastPresence: Presence
  }
}

/** Decorates with what tells the nodes of each other's users. */
export const presencePlugin = fp(
  async (app: FastifyInstance) => {
    app.decorate('roomcastPresence', new MemoryPresence())
  },
  { name: 'roomcast-presence', dependencies: ['roomcast-bridge'] },
)
