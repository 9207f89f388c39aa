import type { FastifyInstance, FastifyReply, FastifyRequest, preValidationHookHandler } from 'fastify'
import { readWhenThereIsTime } from '../plugins/frame-reader.ts'
import { addressOf } from '../plugins/rate-limit.ts'
import { type HubSocket, markAsHubs } from '../plugins/websocket.ts'
import type { Identity } from '../src/auth/permissions.ts'
import type { Config } from '../src/config.ts'
import { ReadPump, type ReadPumpOptions } from '../src/hub/read-pump.ts'
import { type SharedBucket, SharedBuckets } from '../src/hub/shared-bucket.ts'
import { joinsOf } from '../src/hub/token-rooms.ts'
import { admissionOf } from './admission.ts'
import { askBeforeConnect } from './connect-hook.ts'
import { checkHandshake, tidyHandshake } from './handshake.ts'
import { hideOtherMethods } from './other-methods.ts'
import { silenced } from './silent-log.ts'
import { undocumented } from './undocumented.ts'

/** `GET /ws`: refuses, or makes a client of the socket and attaches its pumps. */
export async function wsRoute(app: FastifyInstance, { config }: { config: Config }): Promise<void> {
  const { hub } = app
  const options: ReadPumpOptions = {
    clock: hub.clock,
    log: app.log,
    limits: config,
    maxNesting: config.maxNesting,
  }
  const read = readWhenThereIsTime(hub.turn.inbox)
  const admission = admissionOf(app, config)
  const silentLog = silenced(app.log)
  const bucketOf = sharedBuckets(config)

  // Hooks with a callback, because a promise each is felt when thousands connect at once.
  const admit: preValidationHookHandler = (request, _reply, done) => {
    checkHandshake(request)
    admission.check(request)
    admission.checkDescriptors(request)
    app.authenticate(request, done)
  }
  const connect = hub.hooks?.connect

  app.route({
    method: 'GET',
    url: '/ws',
    exposeHeadRoute: false,
    schema: undocumented,
    // The request line holds the token: a host's own request log must not print it, whatever its logger.
    childLoggerFactory: () => silentLog,
    ...(app.limitConnections !== undefined && { onRequest: app.limitConnections }),
    preValidation: connect === undefined ? admit : [admit, askBeforeConnect(app, connect)],
    preHandler: (request: FastifyRequest, reply: FastifyReply, done) => {
      // A host's own hooks may have taken their time since.
      admission.check(request)
      markAsHubs(request.raw)
      tidyHandshake(request.raw)
      // Else the response, and with it the request, stays in memory as long as the socket.
      reply.raw.detachSocket(request.raw.socket)
      done()
    },
    handler: async (_request, reply) => reply.code(426).send(),
    wsHandler: (socket, request) => {
      const { roomcastIdentity: identity, raw } = request
      if (identity === undefined) throw new Error('a client got past authentication')
      const hubSocket = socket as HubSocket
      hubSocket.attach(raw.socket)
      // The plugin's own listener holds on to the request.
      hubSocket.removeAllListeners('error')
      const { since, handover } = queryOf(request)
      const client = hub.connect(hubSocket, identity)
      client.handsOver = handover === 'true'
      request.roomcastUpgrade?.accepted(client, 101)
      const pump = new ReadPump(hub, client, options, bucketOf(identity, request))
      hubSocket.serve(client, pump, read)
      if (identity.rooms !== undefined) pump.joinFirst(joinsOf(identity.rooms, since))
    },
  })
  hideOtherMethods(app, '/ws', silentLog)
}

/** The query, of which each may be anything. */
function queryOf({ query }: FastifyRequest): { since?: unknown; handover?: unknown } {
  return typeof query === 'object' && query !== null ? query : {}
}

/** Which bucket a client shares: its user's, or that of the address where the user has no name. */
function sharedBuckets({ messageRate, messageBurst, userRateFactor }: Config) {
  if (messageRate * userRateFactor === 0) return () => undefined
  const limits = { rate: messageRate * userRateFactor, burst: messageBurst * userRateFactor }
  const byUser = new SharedBuckets({ ...limits, isHandedOn: true })
  // Behind one address are many: what one of them has used is not held against the next.
  const byAddress = new SharedBuckets({ ...limits, isHandedOn: false })
  return ({ user, isNameless }: Identity, request: FastifyRequest): SharedBucket =>
    // A copy: the address may be a part of a header, and would keep all of that.
    isNameless ? byAddress.of(Buffer.from(addressOf(request)).toString()) : byUser.of(user)
}
