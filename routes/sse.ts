import type { FastifyInstance, FastifyRequest, onRequestHookHandler, preValidationHookHandler } from 'fastify'
import { z } from 'zod'
import { StreamSocket } from '../plugins/stream-socket.ts'
import { Refusal } from '../src/auth/refusal.ts'
import type { Config } from '../src/config.ts'
import { ReadPump } from '../src/hub/read-pump.ts'
import { StreamClient } from '../src/hub/stream-client.ts'
import { joinsOf } from '../src/hub/token-rooms.ts'
import { isRoomName, type Position } from '../src/protocol/envelope.ts'
import { decodePositions, havePositions } from '../src/protocol/positions.ts'
import { hasBody } from '../src/request-head.ts'
import { TurnQueue } from '../src/turn-queue.ts'
import { whileOpen } from '../src/while-open.ts'
import { admissionOf } from './admission.ts'
import { askBeforeConnect } from './connect-hook.ts'
import { hideOtherMethods } from './other-methods.ts'
import { silenced } from './silent-log.ts'
import { undocumented } from './undocumented.ts'

/** Rooms of one stream at most: a browser tells its id, and with it all their positions, in a header. */
const ROOMS = 32
/** As docs/PROTOCOL.md has it for a connection that was open. */
const RETRY_MS = 1000
/** Streams that begin in a turn of the event loop, by up to 32 joins of 25 µs each; as many wait as upgrades do. */
const STREAMS_A_TURN = { perTurn: 4, maxWaiting: 4096 }

const many = <Schema extends z.ZodType>(one: Schema) =>
  z.preprocess((value) => (value === undefined || Array.isArray(value) ? value : [value]), z.array(one))
const query = z.object({
  room: many(z.string().refine(isRoomName)).pipe(z.array(z.string()).max(ROOMS)).default([]),
  last: z
    .string()
    .regex(/^[1-9]\d{0,5}$/)
    .transform(Number)
    .optional(),
  presence: z
    .enum(['true', '1', 'false', '0'])
    .transform((word) => word === 'true' || word === '1')
    .optional(),
  since: z.string().optional(),
})

/** `GET /sse`: refuses as `/ws` does, or makes a client that reads server-sent events of the response. */
export async function sseRoute(app: FastifyInstance, { config }: { config: Config }): Promise<void> {
  const { hub } = app
  const admission = admissionOf(app, config)
  const silentLog = silenced(app.log)
  const connect = hub.hooks?.connect
  const options = { clock: hub.clock, log: app.log, limits: config, maxNesting: config.maxNesting }

  const starting = new TurnQueue<() => void>((begin) => begin(), STREAMS_A_TURN)
  // After a restart all of a node's streams come at once, like its upgrades.
  const waitForTurn: onRequestHookHandler = ({ raw }, reply, done) => {
    // Behind another request it is refused, and waits for nothing.
    if (reply.raw.socket === null) done()
    else starting.add(whileOpen(raw.socket, () => done()))
  }
  const { limitConnections } = app

  const admit: preValidationHookHandler = (request, reply, done) => {
    // Pages that may connect may also see why they were refused.
    reply.headers(corsFor(request, config))
    if (request.raw.httpVersion !== '1.1') throw new Refusal('bad_upgrade', 'HTTP/1.1 is needed')
    if (hasBody(request.headers)) throw new Refusal('bad_request', 'a stream has no body')
    // Behind another request of its connection, the response has no socket yet.
    if (reply.raw.socket === null) throw new Refusal('bad_request', 'a stream needs a connection of its own')
    if (!acceptsEvents(request))
      throw new Refusal('bad_upgrade', 'an Accept with text/event-stream is needed', { status: 406 })
    admission.check(request)
    admission.checkDescriptors(request)
    app.authenticate(request, done)
  }

  app.route({
    method: 'GET',
    url: '/sse',
    exposeHeadRoute: false,
    schema: undocumented,
    childLoggerFactory: () => silentLog,
    onRequest: limitConnections === undefined ? waitForTurn : [waitForTurn, limitConnections],
    preValidation: connect === undefined ? admit : [admit, askBeforeConnect(app, connect)],
    handler: (request, reply) => {
      const { roomcastIdentity: identity } = request
      if (identity === undefined) throw new Error('a client got past authentication')
      const parsed = query.safeParse(request.query)
      if (!parsed.success)
        throw new Refusal('bad_request', `the query's ${String(parsed.error.issues[0]?.path[0])} is wrong`)
      admission.check(request)
      // What the browser says of itself when it comes back is newer than the address that the page gave.
      const since = request.headers['last-event-id'] ?? parsed.data.since
      const rooms = new Set([...(identity.rooms ?? []), ...parsed.data.room])
      if (!havePositions(rooms))
        throw new Refusal('bad_request', "the rooms' names are too long for one stream")
      reply.hijack()
      const headers = { ...STREAM_HEADERS, ...corsFor(request, config) }
      const socket = new StreamSocket(reply.raw, headers, RETRY_MS)
      const client = hub.connect(
        socket,
        identity,
        (...parts) => new StreamClient(...parts, positionsIn(rooms, since)),
      )
      socket.serve(client)
      request.roomcastUpgrade?.accepted(client, 200)
      const { last, presence } = parsed.data
      const more = { ...(last !== undefined && { last }), ...(presence === true && { presence }) }
      const joins = joinsOf([...rooms], since).map((join) => ({ ...join, ...more }))
      new ReadPump(hub, client, options).joinFirst(joins)
    },
  })
  hideOtherMethods(app, '/sse', silentLog)
}

/** Those of the stream's own rooms: with others, each event's id would be as long as the client likes. */
function positionsIn(rooms: ReadonlySet<string>, since: unknown): Map<string, Position> {
  return new Map([...(decodePositions(since) ?? [])].filter(([room]) => rooms.has(room)))
}

/** No Accept accepts everything (RFC 9110 section 12.5.1). */
function acceptsEvents({ headers: { accept } }: FastifyRequest): boolean {
  return accept === undefined || /(^|,)\s*(text\/event-stream|text\/\*|\*\/\*)\s*(;|,|$)/i.test(accept)
}

const STREAM_HEADERS = {
  'content-type': 'text/event-stream',
  'cache-control': 'no-store',
  // nginx and others would keep back what is to be seen at once.
  'x-accel-buffering': 'no',
}

/** A page of another origin reads an answer only when it may; which may connect may. */
function corsFor(
  { headers: { origin } }: FastifyRequest,
  { allowedOrigins }: Config,
): Record<string, string> {
  if (origin === undefined || (allowedOrigins.length > 0 && !allowedOrigins.includes(origin))) return {}
  return {
    'access-control-allow-origin': origin,
    'access-control-expose-headers': 'retry-after',
    vary: 'Origin',
  }
}
