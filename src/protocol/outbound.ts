// What a server sends, as schemas: for docs/asyncapi.json, and for tests. The types are those of wire.ts.
import { z } from 'zod'
import { errorCodes } from './codes.ts'
import { position, requestId, roomName, traceparent } from './envelope.ts'
import type { ToClient } from './wire.ts'

const id = requestId.optional()
const room = roomName
const count = z.int().min(0)
const ms = z.number()
const expiry = { expiresAt: ms.optional(), expiresInMs: ms.optional() }
const any = z.unknown().meta({ json: true })
const user = { user: z.string(), info: z.unknown().optional() }

const message = z.strictObject({
  type: z.literal('message'),
  room: room.optional(),
  content: any,
  from: z.strictObject({ client: z.string(), user: z.string(), app: z.literal(true).optional() }),
  at: ms,
  traceparent: traceparent.optional(),
  offset: count.optional(),
})

/** By type, in the order of docs/PROTOCOL.md. Strict: a field that is not here is not in the contract. */
export const toClient = {
  welcome: z.strictObject({
    type: z.literal('welcome'),
    ...{ client: z.string(), user: z.string(), node: z.string(), ...expiry },
    rooms: z.array(room).optional(),
    ...{ pingIntervalMs: ms, maxMessageBytes: count },
  }),
  joined: z.strictObject({
    ...{ type: z.literal('joined'), id, room },
    ...position.partial().shape,
    ...{ recovered: z.boolean().optional(), missed: count.optional(), scope: z.literal('node').optional() },
  }),
  left: z.strictObject({
    ...{ type: z.literal('left'), id, room, reason: z.enum(['forbidden', 'removed']).optional() },
  }),
  refreshed: z.strictObject({ type: z.literal('refreshed'), id, ...expiry }),
  ack: z.strictObject({
    ...{ type: z.literal('ack'), id: requestId, room: room.optional(), offset: count.optional() },
    ...{ scope: z.enum(['cluster', 'node']), duplicate: z.literal(true).optional() },
  }),
  history: z.strictObject({
    ...{ type: z.literal('history'), id, room, ...position.shape, messages: z.array(message) },
  }),
  pong: z.strictObject({ type: z.literal('pong'), id }),
  result: z.strictObject({ type: z.literal('result'), id: requestId, result: any }),
  presence: z.strictObject({
    ...{ type: z.literal('presence'), id, room, count },
    users: z.array(z.strictObject({ ...user, clients: count })).optional(),
    more: z.literal(true).optional(),
  }),
  member: z.strictObject({
    ...{ type: z.literal('member'), room, count },
    ...{ entered: z.array(z.strictObject(user)).optional(), left: z.array(z.string()).optional() },
  }),
  message,
  reset: z.strictObject({ type: z.literal('reset'), room, ...position.shape }),
  dropped: z.strictObject({ type: z.literal('dropped'), room: room.optional(), count }),
  closing: z.strictObject({ type: z.literal('closing'), reconnectInMs: ms, handoverMs: ms.optional() }),
  error: z.strictObject({
    ...{ type: z.literal('error'), code: z.enum(errorCodes), message: z.string() },
    ...{ id, room: room.optional(), retryAfterMs: ms.optional() },
  }),
} satisfies { [Type in ToClient['type']]: z.ZodType<{ type: Type }> }
