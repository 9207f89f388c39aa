import type { FastifyInstance, FastifyRequest, preValidationHookHandler } from 'fastify'
import { tokenIn } from '../plugins/auth.ts'
import type { Identity } from '../src/auth/permissions.ts'
import { Refusal } from '../src/auth/refusal.ts'
import { Asking, Denial, type Hooks, type Upgrade } from '../src/hooks/hooks.ts'

/** Asks the host before the 101, behind the token's check: it refuses, or has another identity connect. */
export function askBeforeConnect(
  app: FastifyInstance,
  connect: NonNullable<Hooks['connect']>,
): preValidationHookHandler {
  return (request, _reply, done) => {
    const asking = new Asking()
    const { socket } = request.raw
    const onGone = () => asking.end()
    socket.once('close', onGone)
    const settle = (answer: Identity | undefined | Denial) => {
      socket.off('close', onGone)
      if (answer instanceof Denial) return done(refusalOf(answer))
      if (answer !== undefined) request.roomcastIdentity = answer
      const { roomcastIdentity: identity } = request
      // Revoked meanwhile.
      if (identity !== undefined && app.hub.isRevoked(identity))
        return done(new Refusal('unauthorized', 'a valid token is needed'))
      done()
    }
    const answer = connect(asking, upgradeOf(app, request))
    if (answer instanceof Promise) void answer.then(settle)
    else settle(answer)
  }
}

function refusalOf({ code, message }: Denial): Refusal {
  if (code === 'refused' || code === 'internal') return new Refusal(code, message)
  return new Refusal('unavailable', message, { headers: { 'retry-after': '1' } })
}

function upgradeOf(app: FastifyInstance, request: FastifyRequest): Upgrade {
  const claims = claimsIn(tokenIn(request) ?? '')
  return {
    claims,
    request,
    identityWith: (changes) => {
      const identity = app.identityOf({ ...claims, ...changes })
      if (typeof identity === 'string') throw new TypeError(`no claims: ${identity}`)
      const { permissions, info } = identity
      const changed = {
        ...('can' in changes && { permissions }),
        ...('info' in changes && info !== undefined && { info }),
      }
      return { ...identity, changed }
    },
  }
}

/** Of a token that has verified. */
function claimsIn(token: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
}
