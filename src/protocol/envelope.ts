import { z } from 'zod'
import type { ErrorCode } from './codes.ts'

/** A room name holds at most this many bytes of UTF-8. */
export const ROOM_NAME_MAX_BYTES = 128

const utf8 = new TextEncoder()
const controlCharacter = /\p{Cc}/u
// With the u flag this matches lone surrogates only: they have no UTF-8 form, so two such names could become one.
const loneSurrogate = /[\ud800-\udfff]/u

/** Whether `name` keeps the naming rule: 1–128 bytes of UTF-8, no control characters. */
export function isRoomName(name: string): boolean {
  if (name.length === 0 || name.length > ROOM_NAME_MAX_BYTES) return false
  if (controlCharacter.test(name) || loneSurrogate.test(name)) return false
  // A UTF-16 unit takes three bytes at most, so most names need no encoding.
  return name.length * 3 <= ROOM_NAME_MAX_BYTES || utf8.encode(name).length <= ROOM_NAME_MAX_BYTES
}

export const roomName = z.string().refine(isRoomName, {
  error: 'room must be 1 to 128 bytes of UTF-8 without control characters',
  params: { code: 'bad_room' satisfies ErrorCode },
})
/** The request's own name for its answer. */
export const requestId = z.union([z.string().min(1).max(64), z.int()])
export type RequestId = z.infer<typeof requestId>

const base = { id: requestId.optional() }

/** A place in a room's history: the epoch changes when history was lost, the offset grows by one a message. */
export const position = z.object({ epoch: z.string().min(1).max(64), offset: z.int().min(0) })
export type Position = z.infer<typeof position>

export const joinRequest = z.object({
  ...base,
  type: z.literal('join'),
  room: roomName,
  since: position.optional(),
  /** The newest messages that are wanted of the room's history. */
  last: z.int().min(1).optional(),
  /** Whether the client is to be told who is in the room. */
  presence: z.boolean().optional(),
})
/** The sender's place in a trace, as W3C Trace Context writes it (version 00 has this form, and later ones begin with it). */
export const traceparent = z
  .string()
  .regex(/^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/)
export const leaveRequest = z.object({ ...base, type: z.literal('leave'), room: roomName })
export const messageRequest = z
  .object({
    ...base,
    type: z.literal('message'),
    room: roomName.optional(),
    /** The sender's own JSON text, put in by the codec; it is relayed as it stands. */
    content: z.string().meta({ json: true }),
    echo: z.boolean().optional(),
    key: z.string().min(1).max(64).optional(),
    /** False: it is delivered and forgotten. */
    keep: z.boolean().optional(),
    /** Goes out with the message where the room's rule says so. */
    traceparent: traceparent.optional(),
  })
  // What is not kept is not remembered by its key either.
  .refine(({ key, keep }) => key === undefined || keep !== false, { path: ['key'] })
export const historyRequest = z.object({
  ...base,
  type: z.literal('history'),
  room: roomName,
  since: position.optional(),
  limit: z.int().min(1).optional(),
})
export const presenceRequest = z.object({ ...base, type: z.literal('presence'), room: roomName })
/** A token's length in a request: as much as an upgrade's head may have in all. */
const TOKEN_MAX_CHARS = 16_384
export const refreshRequest = z.object({
  ...base,
  type: z.literal('refresh'),
  token: z.string().min(1).max(TOKEN_MAX_CHARS),
})
export const pingRequest = z.object({ ...base, type: z.literal('ping') })

/** A request to the host's code. */
export const callRequest = z.object({
  ...base,
  type: z.literal('call'),
  method: z.string().min(1).max(128),
  /** The caller's own JSON text, put in by the codec. */
  params: z.string().meta({ json: true }).optional(),
})

export type JoinRequest = z.infer<typeof joinRequest>
export type LeaveRequest = z.infer<typeof leaveRequest>
export type MessageRequest = z.infer<typeof messageRequest>
export type HistoryRequest = z.infer<typeof historyRequest>
export type PresenceRequest = z.infer<typeof presenceRequest>
export type RefreshRequest = z.infer<typeof refreshRequest>
export type PingRequest = z.infer<typeof pingRequest>
export type CallRequest = z.infer<typeof callRequest>
export type Request =
  | JoinRequest
  | LeaveRequest
  | MessageRequest
  | HistoryRequest
  | PingRequest
  | PresenceRequest
  | RefreshRequest
  | CallRequest
export type RequestType = Request['type']

/** Who sent a message; both are the server's words. */
export interface From {
  client: string
  user: string
  /** The app that embeds the server, whatever `user` it names. */
  app?: true
}

/** How far a publish went: every node, or only this one because the bridge is unreachable. */
export type Scope = 'cluster' | 'node'

export interface Joined {
  type: 'joined'
  id?: RequestId
  room: string
  epoch?: string
  offset?: number
  /** Only where `since` was asked for. */
  recovered?: boolean
  /** How many messages of the history follow, where they were asked for. */
  missed?: number
  /** The bridge is unreachable: only messages of this node arrive for now. */
  scope?: 'node'
}
export interface Left {
  type: 'left'
  id?: RequestId
  room: string
  /** Only where the client did not ask for it. */
  reason?: LeftReason
}
/** `forbidden`: a refreshed token does not allow the room. `removed`: by the operator. */
export type LeftReason = 'forbidden' | 'removed'
/** Both are absent for a token that does not expire. */
export interface Expiry {
  /** When 4401 will come, in ms since 1970. */
  expiresAt?: number
  /** The same from now on, since clocks differ. */
  expiresInMs?: number
}
export interface Refreshed extends Expiry {
  type: 'refreshed'
  id?: RequestId
}
export interface Ack {
  type: 'ack'
  id: RequestId
  room?: string
  offset?: number
  scope: Scope
  duplicate?: true
}
export interface Pong {
  type: 'pong'
  id?: RequestId
}
export interface Dropped {
  type: 'dropped'
  room?: string
  count: number
}
/** The room's history began anew: positions of before are void, and messages from behind this one follow. */
export interface Reset {
  type: 'reset'
  room: string
  epoch: string
  offset: number
}
export interface Closing {
  type: 'closing'
  reconnectInMs: number
  /** How long this connection still delivers, for clients that asked for it (`handover`). */
  handoverMs?: number
}
export interface ErrorEnvelope {
  type: 'error'
  code: ErrorCode
  message: string
  id?: RequestId
  room?: string
  retryAfterMs?: number
}

/** What the server sends of its own; `welcome` and a room's `message` are text already (codec.ts). */
export type Outbound = Joined | Left | Ack | Pong | Refreshed | Dropped | Reset | Closing | ErrorEnvelope
