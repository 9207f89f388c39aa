import type { FastifyInstance } from 'fastify'
import { disconnectBody, revokeTokenBody, revokeUserBody } from '../../src/protocol/api.ts'
import { readOptions } from './body.ts'
import { nameIn, userIn } from './names.ts'

/** A token's own name has at most as many characters. */
const JTI_CHARS = 256

/** A user's clients, and what an operator does to them and to tokens. */
export async function userRoutes(app: FastifyInstance): Promise<void> {
  const { hub } = app

  app.get('/users/:user', async (request) => {
    const user = userIn(request)
    return { user, ...(await hub.inquiries.user(user)) }
  })

  app.post('/users/:user/disconnect', (request) => {
    const { reason } = readOptions(request.body, disconnectBody)
    return hub.disconnect({ user: userIn(request) }, reason)
  })

  app.post('/users/:user/revoke', (request) => {
    const { issuedBefore } = readOptions(request.body, revokeUserBody)
    return hub.revoke({ user: userIn(request), ...(issuedBefore !== undefined && { issuedBefore }) })
  })

  app.post('/tokens/:jti/revoke', (request) => {
    const { expiresAt } = readOptions(request.body, revokeTokenBody)
    const jti = nameIn(request, 'jti', JTI_CHARS)
    return hub.revoke({ jti, ...(expiresAt !== undefined && { expiresAt }) })
  })
}
