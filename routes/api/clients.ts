import type { FastifyInstance } from 'fastify'
import { disconnectBody } from '../../src/protocol/api.ts'
import { readOptions } from './body.ts'
import { nameIn } from './names.ts'
import { Problem } from './problem.ts'

const CLIENT_CHARS = 64

/** A client's figures, and its end. */
export async function clientRoutes(app: FastifyInstance): Promise<void> {
  const { hub } = app

  app.get('/clients/:client', async (request) => {
    const { found, scope, nodes } = await hub.inquiries.client(nameIn(request, 'client', CLIENT_CHARS))
    if (found !== undefined) return { ...found, scope, nodes }
    if (scope === 'node') throw new Problem('unavailable', 'not on this node, and others cannot be asked now')
    throw new Problem('not_found', `no such client on ${nodes.answered} of ${nodes.asked} nodes`)
  })

  app.post('/clients/:client/disconnect', (request) => {
    const { reason } = readOptions(request.body, disconnectBody)
    return hub.disconnect({ client: nameIn(request, 'client', CLIENT_CHARS) }, reason)
  })
}
