import type { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'

/** A connection with a descriptor of the reserve has this long for its request and the answer. */
const RESERVED_MS = 1000

/**
 * Keeps descriptors in reserve: without any left, a server can neither tell a health check how it is nor connect to
 * Redis again, and in a worker the next connection that is handed over would be lost.
 */
export function guardDescriptors(app: FastifyInstance): void {
  const descriptors = app.roomcastDescriptors
  descriptors.watch()
  app.server.on('connection', (socket: Socket) => {
    if (!descriptors.isReserved(socket)) return
    if (descriptors.isOfTheLast(socket)) {
      descriptors.refuse()
      socket.destroy()
      return
    }
    const timer = setTimeout(() => socket.destroy(), RESERVED_MS)
    socket.once('close', () => clearTimeout(timer))
  })
  // Some Node versions say so when a connection cannot be accepted, and end the process if nobody listens.
  app.server.on('error', () => {
    if (app.server.listening) descriptors.refuse()
  })
  app.addHook('onClose', async () => descriptors.close())
}
