import type { Socket } from 'node:net'
import type { FastifyInstance, FastifyRequest, preValidationHookHandler } from 'fastify'
import { tokenIn } from '../plugins/auth.ts'
import type { Identity } from '../src/auth/permissions.ts'
import { Refusal } from '../src/auth/refusal.ts'
import { Asking, Denial, type Hooks, type Upgrade } from '../src/hooks/hooks.ts'
import { whileOpen } from '../src/while-open.ts'

/** Asks the host before the 101, behind the token's check: it refuses, or has another identity connect. */
export function askBeforeConnect(
  app: FastifyInstance,
  connect: NonNullable<Hooks['connect']>,
): preValidationHookHandler {
  return (request, _reply, done) => {
    const asking = new Asking()
    const { socket } = request.raw
    const settle = (answer: Identity | undefined | Denial) => {
      if (answer instanceof Denial) return done(refusalOf(answer))
      if (answer !== undefined) request.roomcastIdentity = answer
      const { roomcastIdentity: identity } = request
      // Revoked meanwhile.
      if (identity !== undefined && app.hub.isRevoked(identity))
        return done(new Refusal('unauthorized', 'a valid token is needed'))
      done()
    }
    const answer = connect(asking, upgradeOf(app, request))
    if (!(answer instanceof Promise)) {
      settle(answer)
      return
    }
    const stopWatching = onceGone(socket, request.ws, () => asking.end())
    const settleLate = whileOpen(socket, (late: Identity | undefined | Denial) => {
      stopWatching()
      settle(late)
    })
    void answer.then(settleLate)
  }
}

/** Calls once the peer has gone; returns how to look no more. */
function onceGone(socket: Socket, isUpgrade: boolean, then: () => void): () => void {
  const onEnd = () => socket.destroy()
  socket.once('close', then)
  if (isUpgrade) {
    // Nobody reads from the socket of an upgrade, and so nobody would see its end.
    socket.once('end', onEnd)
    socket.read(0)
  }
  return () => socket.off('close', then).off('end', onEnd)
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
