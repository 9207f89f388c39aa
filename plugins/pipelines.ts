import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'

/** Requests behind one that is open, on one connection: pipelining clients send a handful. */
const MAX_BEHIND = 16

/** A connection that has brought requests to roomcast's routes. */
interface Pipeline {
  /** Of roomcast's own answers the newest: answers go in their order, so with it all are done. */
  newest: ServerResponse
  /** Requests that came to any route while it was open, and are open too. */
  behind: number
}

/**
 * Cuts a connection that sends more than a few requests behind one of ours that is not answered yet, as a stream never
 * is: Node reads and keeps them all, about 10 KB for each 30 bytes. The host's own requests are not looked at.
 */
export const pipelinesPlugin = fp(async (scope: FastifyInstance) => {
  const pipelines = new WeakMap<Socket, Pipeline>()

  scope.addHook('onRequest', ({ raw, ws }, reply, done) => {
    // HTTP/2 bounds its streams itself, and behind an upgrade Node reads no requests.
    if (ws || raw.httpVersionMajor >= 2) {
      done()
      return
    }
    const { socket } = raw
    // Cut; the rest of what was read with it comes nevertheless, and costs no more than this.
    if (socket.destroyed) {
      reply.hijack()
      return
    }
    const pipeline = pipelines.get(socket)
    if (pipeline === undefined) pipelines.set(socket, { newest: reply.raw, behind: 0 })
    else pipeline.newest = reply.raw
    done()
  })

  const onRequest = ({ socket }: IncomingMessage, response: ServerResponse): void => {
    const pipeline = pipelines.get(socket)
    if (pipeline === undefined || pipeline.newest.closed) return
    if (++pipeline.behind > MAX_BEHIND) socket.destroy()
    else response.once('close', () => pipeline.behind--)
  }
  // Ahead of Fastify's own, so that a request is not counted as one behind itself.
  scope.server.prependListener('request', onRequest)
  scope.addHook('onClose', async () => {
    scope.server.off('request', onRequest)
  })
})
