import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import { undocumented } from './undocumented.ts'

/**
 * Other methods are nothing that is there, unless a host has them. The route is for its log only: a host's own would
 * have the request line, and that may hold a token.
 */
export function hideOtherMethods(app: FastifyInstance, url: string, silentLog: FastifyBaseLogger): void {
  const isFree = (method: string) => !app.hasRoute({ method: method as 'POST', url: app.prefix + url })
  app.route({
    method: app.supportedMethods.filter((method) => method !== 'GET' && isFree(method)),
    url,
    schema: undocumented,
    childLoggerFactory: () => silentLog,
    onRequest: async (_request, reply) => reply.callNotFound(),
    handler: async () => {},
  })
}
