import type { z } from 'zod'
import type { ErrorCode } from './codes.ts'
import { sliceValue } from './content-slice.ts'
import {
  callRequest,
  type ErrorEnvelope,
  type Expiry,
  type From,
  historyRequest,
  joinRequest,
  leaveRequest,
  messageRequest,
  type Outbound,
  type Position,
  pingRequest,
  presenceRequest,
  type Request,
  type RequestId,
  refreshRequest,
  requestId,
} from './envelope.ts'

/** A frame's text became a request, or the error envelope that answers it. */
export type Decoded = { ok: true; request: Request } | { ok: false; error: ErrorEnvelope }

// A Map, because an object would answer for `constructor` and `__proto__` too.
const requests = new Map<string, z.ZodType<Request>>([
  ['join', joinRequest],
  ['leave', leaveRequest],
  ['message', messageRequest],
  ['history', historyRequest],
  ['refresh', refreshRequest],
  ['ping', pingRequest],
  ['presence', presenceRequest],
  ['call', callRequest],
])

/** The types of requests that there are. */
export const requestTypes = [...requests.keys()] as Request['type'][]

/** Parses and validates one inbound text. Never throws; every fault has one answer (PROTOCOL.md). */
export function decode(text: string, maxNesting: number): Decoded {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return refused('bad_envelope', 'not valid JSON')
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return refused('bad_envelope', 'an envelope is a JSON object')
  }
  const object = value as Record<string, unknown>
  const slice = sliceValue(text, 'content', maxNesting)
  const id = object.id === undefined ? undefined : requestId.safeParse(object.id).data
  if (slice.tooDeep) return refused('bad_envelope', `nested deeper than ${maxNesting}`, id)
  if (typeof object.type !== 'string') return refused('bad_envelope', 'type must be a string', id)
  const schema = requests.get(object.type)
  if (schema === undefined) return refused('unknown_type', 'no such type', id)
  // The content goes on as the sender's text, so nothing behind this line can alter it.
  object.content = slice.value
  if (schema === callRequest) object.params = textOf(text, 'params')
  const parsed = schema.safeParse(object)
  if (parsed.success) return { ok: true, request: parsed.data }
  return refusedBy(parsed.error.issues[0], id)
}

/** The text of a value in an object whose nesting has been measured. */
function textOf(text: string, key: string): string | undefined {
  const slice = sliceValue(text, key, Infinity)
  return slice.tooDeep ? undefined : slice.value
}

function refusedBy(issue: z.core.$ZodIssue | undefined, id: RequestId | undefined): Decoded {
  if (issue?.code === 'custom' && issue.params?.code === 'bad_room') {
    return refused('bad_room', issue.message, id)
  }
  return refused(
    'bad_envelope',
    `${String(issue?.path[0] ?? 'envelope')} is missing, of the wrong type or out of range`,
    id,
  )
}

function refused(code: ErrorCode, message: string, id?: RequestId): Decoded {
  return { ok: false, error: { type: 'error', code, message, ...(id !== undefined && { id }) } }
}

/** The text of an envelope that the server itself writes. */
export function encode(envelope: Outbound): string {
  return JSON.stringify(envelope)
}

/** A client's welcome; `node` is an object's JSON text, what all clients of a node are told alike. */
export function welcomeText(
  { id, user, identity: { rooms } }: { id: string; user: string; identity: { rooms?: readonly string[] } },
  { expiresAt, expiresInMs }: Expiry,
  node: string,
): string {
  const expiry = expiresAt === undefined ? '' : `"expiresAt":${expiresAt},"expiresInMs":${expiresInMs},`
  const joined = rooms === undefined ? '' : `"rooms":${JSON.stringify(rooms)},`
  return `{"type":"welcome","client":"${id}","user":${JSON.stringify(user)},${expiry}${joined}${node.slice(1)}`
}

/**
 * A message's text without its end: the bridge gives the offset, so `messageText` adds it afterwards.
 * `content` must be valid JSON text and is taken as it stands. `atMs` is Unix time in milliseconds.
 */
export function messageHead(
  room: string | undefined,
  content: string,
  from: From,
  atMs: number,
  traceparent?: string,
): string {
  const roomPart = room === undefined ? '' : `"room":${JSON.stringify(room)},`
  const trace = traceparent === undefined ? '' : `,"traceparent":"${traceparent}"`
  return `{"type":"message",${roomPart}"content":${content},"from":{"client":${JSON.stringify(from.client)},"user":${JSON.stringify(from.user)}${from.app ? ',"app":true' : ''}},"at":${atMs}${trace}`
}

/** The answer to a history request; `messages` are outgoing texts and are put in as they stand. */
export function historyText(
  { id, room }: { id: RequestId | undefined; room: string },
  at: Position,
  messages: (string | Buffer)[],
): string {
  const idPart = id === undefined ? '' : `"id":${JSON.stringify(id)},`
  return `{"type":"history",${idPart}"room":${JSON.stringify(room)},"epoch":${JSON.stringify(at.epoch)},"offset":${at.offset},"messages":[${messages.join(',')}]}`
}

/** The answer to a call; `result` is JSON text, and is put in as it stands. */
export function resultText(id: RequestId, result: string): string {
  return `{"type":"result","id":${JSON.stringify(id)},"result":${result}}`
}

/** Ends a message's text: with its offset where the room keeps history. */
export function messageText(head: string, offset: number | undefined): string {
  return offset === undefined ? `${head}}` : `${head},"offset":${offset}}`
}
