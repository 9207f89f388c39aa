import { z } from 'zod'
import { errorCodes } from './codes.ts'
import { position, roomName, traceparent } from './envelope.ts'

// What the HTTP API takes and answers; docs/openapi.json is made of these.

/** Rooms or users of one publish, and publishes of one list, at most. */
export const TARGETS = 100
const user = z.string().min(1).max(256)
const clientId = z.string().min(1).max(64)
/** Unix time in milliseconds. */
const time = z.int().min(0)

const message = {
  /** The sender's own JSON text, put in where the body is read; it is never written again. */
  content: z.string('must be there, and may be any JSON').meta({ json: true }),
  key: z.string().min(1).max(64).optional().describe('Makes the publish idempotent for 5 minutes.'),
  keep: z.boolean().optional().describe('False: delivered and forgotten. Not with a key.'),
  exclude: clientId.optional().describe('The client that must not get it.'),
  user: user.optional().describe('Whom members see it from; API keys only.'),
  traceparent: traceparent
    .optional()
    .describe('W3C Trace Context, in place of the header; goes out where the rule of the room says so.'),
}
const isNoContradiction = ({ key, keep }: { key?: string | undefined; keep?: boolean | undefined }) =>
  key === undefined || keep !== false
const contradiction = { path: ['key'], error: 'what is not kept has no key' }

/** A publish to the room that the path names. */
export const publishBody = z.strictObject(message).refine(isNoContradiction, contradiction)
export type PublishBody = z.infer<typeof publishBody>

/** A publish to several rooms, to users, or to everybody. */
export const sendBody = z
  .strictObject({
    ...message,
    rooms: z.array(roomName).min(1).max(TARGETS).optional(),
    users: z.array(user).min(1).max(TARGETS).optional(),
    broadcast: z.literal(true).optional(),
  })
  .refine(isNoContradiction, contradiction)
  .refine(
    ({ rooms, users, broadcast }) =>
      [rooms, users, broadcast].filter((one) => one !== undefined).length === 1,
    { error: 'needs one of rooms, users and broadcast' },
  )
  .refine(({ users, key }) => users === undefined || key === undefined, {
    path: ['key'],
    error: 'what goes to users has no key',
  })
export type SendBody = z.infer<typeof sendBody>

const nodes = z
  .object({ asked: z.int(), answered: z.int(), missing: z.array(z.string()) })
  .describe('How many nodes were asked, and the ids of those that have not answered within a second.')
const scope = z.enum(['cluster', 'node']).describe('`node`: the bridge is away, and it went no further.')
const seen = {
  scope: z.enum(['cluster', 'node']).describe('`node`: the bridge is away, and this is what this node has.'),
  nodes,
}

/** What became of a publish; the words are those of an `ack`. */
export const published = z.object({
  scope,
  offset: z.int().optional(),
  duplicate: z.literal(true).optional(),
})

/** Errors as RFC 9457 has them. */
export const problemCodes = [
  ...errorCodes,
  'bad_request',
  'not_found',
  'method_not_allowed',
  'too_large',
  'unsupported_media_type',
  'origin_refused',
] as const
export type ProblemCode = (typeof problemCodes)[number]
export const problem = z.object({
  type: z.literal('about:blank'),
  title: z.string(),
  status: z.int(),
  code: z.enum(problemCodes),
  detail: z.string(),
})
const failure = z.object({ error: z.enum(problemCodes), detail: z.string() })

/** One answer a target. */
export const sent = z.object({
  results: z.array(
    z.union([
      published.extend({ room: roomName }),
      published.extend({ broadcast: z.literal(true) }),
      z.object({ users: z.array(user), scope, clients: z.int(), nodes }),
      failure.extend({ room: roomName.optional(), users: z.array(user).optional() }),
    ]),
  ),
})
export const sentList = z.array(sent)

const number = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d{1,5}$/)
    .transform(Number)
    .pipe(z.int().min(min).max(max))

export const roomsQuery = z.strictObject({
  prefix: z.string().max(128).default(''),
  after: z.string().max(128).default(''),
  limit: number(1, 1000).default(100),
})
const roomCounts = z.object({
  room: roomName,
  members: z.int().describe('Clients in it, on all nodes.'),
  users: z.int().optional().describe('Users in it, each once; left out where they are more than 50,000.'),
})
export const roomsPage = z.object({ rooms: z.array(roomCounts), more: z.boolean(), ...seen })
export const roomAnswer = roomCounts.extend({ more: z.boolean(), ...seen })
export const membersAnswer = z.object({
  room: roomName,
  count: z.int().optional().describe('Users in it, each once; left out where they are more than 50,000.'),
  users: z.array(z.object({ user, clients: z.int() })),
  more: z.boolean().describe('Whether there are users that `users` has not got.'),
  ...seen,
})

export const historyQuery = z.strictObject({
  since: z
    .string()
    .regex(/^[^:]{1,64}:\d{1,15}$/, 'must be an epoch, a colon and an offset')
    .transform((text) => ({
      epoch: text.slice(0, text.lastIndexOf(':')),
      offset: Number(text.slice(text.lastIndexOf(':') + 1)),
    }))
    .pipe(position)
    .optional(),
  limit: number(1, 1000).default(100),
})
export const historyAnswer = z.object({
  type: z.literal('history'),
  room: roomName,
  epoch: z.string(),
  offset: z.int(),
  recovered: z.boolean().optional().describe('With `since`: whether nothing is missing behind it.'),
  messages: z.array(z.looseObject({ type: z.literal('message') })),
})

/** A client's figures; times are Unix milliseconds. */
export const clientFigures = z.object({
  client: clientId,
  user,
  node: z.string(),
  transport: z.enum(['websocket', 'stream']),
  rooms: z.array(z.string()),
  connectedAt: time,
  lastPingAt: time.optional(),
  lastPongAt: time.optional(),
  roundTripMs: z.number().optional(),
  pings: z.int(),
  pongs: z.int(),
  messagesIn: z.int(),
  messagesOut: z.int(),
  bytesIn: z.int(),
  bytesOut: z.int(),
  outboxBytes: z.int(),
  drops: z.int(),
})
export const userAnswer = z.object({ user, clients: z.array(clientFigures), more: z.boolean(), ...seen })
export const clientAnswer = clientFigures.extend(seen)

/** What a node says of itself. */
export const nodeFigures = z.object({
  node: z.string(),
  version: z.string(),
  uptimeMs: z.int(),
  clients: z.int(),
  rooms: z.int(),
  bridge: z.object({ kind: z.enum(['memory', 'redis']), state: z.enum(['up', 'down']) }),
  published: z.int().optional().describe('Messages published through it since its start.'),
  deliveries: z.int().optional().describe('Messages sent to its clients since its start.'),
  drops: z.int().optional().describe('Messages dropped for slow clients since its start.'),
  outboxBytes: z.int().optional().describe('Bytes that wait for clients whose sockets do not take them.'),
  roundTrips: z
    .object({ boundsMs: z.array(z.number()), counts: z.array(z.int()) })
    .optional()
    .describe(
      'Round trips of pings since its start: how many were up to each bound and above the one before; the last count is of those above all bounds.',
    ),
  loopHeldMs: z
    .number()
    .optional()
    .describe(
      'The longest that its event loop was held up in the last 5 to 10 seconds. It is watched while somebody asks; absent the first time.',
    ),
})
export const clusterAnswer = z.object({ cluster: z.array(nodeFigures), clients: z.int(), ...seen })

export const disconnectBody = z.strictObject({
  reason: z
    .string()
    .regex(/^[\x20-\x7e]{1,123}$/, 'must be 1 to 123 characters of ASCII')
    .optional(),
})
export const revokeUserBody = z.strictObject({ issuedBefore: time.optional() })
export const revokeTokenBody = z.strictObject({ expiresAt: time.optional() })
/** What an act came to. */
export const acted = z.object({ scope, clients: z.int(), nodes })
