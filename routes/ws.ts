import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { HubSocket } from '../plugins/websocket.ts'
import { Refusal } from '../src/auth/refusal.ts'
import type { Config } from '../src/config.ts'
import { ReadPump, type ReadPumpOptions } from '../src/hub/read-pump.ts'
import { checkHandshake } from './handshake.ts'

/** `GET /ws`: refuses, or makes a client of the socket and attaches its pumps. */
export async function wsRoute(app: FastifyInstance, { config }: { config: Config }): Promise<void> {
  const { hub } = app
  const options: ReadPumpOptions = {
    clock: hub.clock,
    log: app.log,
    limits: config,
    maxNesting: config.maxNesting,
  }
  const origins = new Set(config.allowedOrigins)

  const checkAdmission = ({ headers }: FastifyRequest) => {
    if (hub.isDraining) throw new Refusal('draining', 'shutting down', { headers: { 'retry-after': '1' } })
    if (hub.isFull)
      throw new Refusal('full', 'the client limit is reached', { headers: { 'retry-after': '5' } })
    if (origins.size > 0 && headers.origin !== undefined && !origins.has(headers.origin)) {
      throw new Refusal('origin_refused', 'this origin may not connect')
    }
  }

  app.route({
    method: 'GET',
    url: '/ws',
    exposeHeadRoute: false,
    // The request line holds the token: a host's own request log must not print it.
    logLevel: 'silent',
    config: { rateLimit: config.connectRateMax > 0 && {} },
    // Hooks with a callback, because a promise each is felt when thousands connect at once.
    preValidation: (request, _reply, done) => {
      checkHandshake(request)
      checkAdmission(request)
      app.authenticate(request)
      done()
    },
    preHandler: (request: FastifyRequest, reply: FastifyReply, done) => {
      const { socket } = request.raw
      // Else the response, and with it the request, stays in memory as long as the socket.
      reply.raw.detachSocket(socket)
      // The 101 and the welcome go in one write. Should ws refuse, its end() uncorks too.
      socket.cork()
      done()
    },
    handler: async (_request, reply) => reply.code(426).send(),
    wsHandler: (socket, request) => {
      const { roomcastIdentity: identity, raw } = request
      if (identity === undefined) throw new Error('a client got past authentication')
      const hubSocket = socket as HubSocket
      hubSocket.attach(raw.socket)
      attachPumps(app, hubSocket, identity, options)
      hubSocket.client?.flush()
      raw.socket.uncork()
    },
  })
}

/** Listeners are shared by all sockets: ws calls them with the socket as `this`. */
function attachPumps(
  app: FastifyInstance,
  socket: HubSocket,
  identity: NonNullable<FastifyRequest['roomcastIdentity']>,
  options: ReadPumpOptions,
): void {
  // The plugin's own listener holds on to the request.
  socket.removeAllListeners('error')
  socket.on('error', onError)
  socket.on('message', onMessage)
  socket.on('pong', onPong)
  socket.on('close', onClose)
  socket.client = app.hub.connect(socket, identity)
  socket.pump = new ReadPump(app.hub, socket.client, options)
}

function onMessage(this: unknown, data: unknown, isBinary: boolean): void {
  const { pump } = this as HubSocket
  pump?.receive(data as Buffer, isBinary)
}

function onPong(this: unknown, payload: Buffer): void {
  const { pump } = this as HubSocket
  pump?.receivePong(payload)
}

function onClose(this: unknown): void {
  const { client } = this as HubSocket
  client?.socketClosed()
}

/** A broken frame or a reset: ws sends the Close and ends the socket, 'close' follows. There is nothing to add. */
function onError(): void {}
