import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { Descriptors } from '../src/descriptors.ts'

declare module 'fastify' {
  interface FastifyInstance {
    roomcastDescriptors: Descriptors
  }
}

/** Decorates with the process's descriptors, by which upgrades are refused before there are none left. */
export const descriptorsPlugin = fp(
  async (app: FastifyInstance) => {
    app.decorate('roomcastDescriptors', new Descriptors(app.log))
  },
  { name: 'roomcast-descriptors' },
)
