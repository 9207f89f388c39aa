import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import type { Rooms } from '../src/hub/rooms.ts'

declare module 'fastify' {
  interface FastifyInstance {
    rooms: Rooms
  }
}

/** Decorates with this node's rooms and their members. */
export const roomsPlugin = fp(
  async (app: FastifyInstance) => {
    app.decorate('rooms', app.hub.rooms)
  },
  { name: 'roomcast-rooms', dependencies: ['roomcast-hub'] },
)
