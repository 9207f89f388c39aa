import type { ErrorCode } from '../protocol/codes.ts'
import type {
  Ack,
  ErrorEnvelope,
  JoinRequest,
  LeaveRequest,
  MessageRequest,
  Outbound,
  PingRequest,
  Request,
  RequestId,
  RequestType,
} from '../protocol/envelope.ts'
import type { Client } from './client.ts'
import type { Hub } from './hub.ts'

/** What a handler gives: an answer now or later, or none. */
export type Answer = Outbound | undefined | Promise<Outbound | undefined>
type Handler<R extends Request> = (hub: Hub, client: Client, request: R) => Answer

/** One function an inbound type. */
const handlers: { [T in RequestType]: Handler<Extract<Request, { type: T }>> } = {
  join,
  leave,
  message,
  ping,
}

/** Carries out one request; the type was validated by the codec, so it is a key of the table. */
export function handle(hub: Hub, client: Client, request: Request): Answer {
  return (handlers[request.type] as Handler<Request>)(hub, client, request)
}

async function join(hub: Hub, client: Client, { id, room }: JoinRequest): Promise<Outbound | undefined> {
  if (!client.permissions.canJoin(room)) return refusal('forbidden', 'this token may not join', { id, room })
  if (!client.rooms.has(room) && client.rooms.size >= hub.limits.maxRoomsPerClient) {
    return refusal('room_limit', `at most ${hub.limits.maxRoomsPerClient} rooms a client`, { id, room })
  }
  await hub.join(client, room)
  return { type: 'joined', ...withId(id), room }
}

function leave(hub: Hub, client: Client, { id, room }: LeaveRequest): Answer {
  hub.leave(client, room)
  return { type: 'left', ...withId(id), room }
}

function message(hub: Hub, client: Client, request: MessageRequest): Answer {
  const { id, room, content, echo } = request
  if (room === undefined) {
    if (!client.permissions.broadcast)
      return refusal('forbidden', 'this token may not broadcast', { id, room })
  } else if (!client.rooms.has(room)) {
    return refusal('not_member', 'join the room first', { id, room })
  } else if (!client.permissions.canPublish(room)) {
    return refusal('forbidden', 'this token may not publish', { id, room })
  }
  const published = hub.publishText({
    room,
    content,
    from: { client: client.id, user: client.user },
    exclude: echo === true ? undefined : client.id,
  })
  return published.then(({ scope, offset }): Ack | undefined => {
    if (id === undefined) return undefined
    return {
      type: 'ack',
      id,
      ...(room !== undefined && { room }),
      ...(offset !== undefined && { offset }),
      scope,
    }
  })
}

function ping(_hub: Hub, _client: Client, { id }: PingRequest): Answer {
  return { type: 'pong', ...withId(id) }
}

function withId(id: RequestId | undefined): { id?: RequestId } {
  return id === undefined ? {} : { id }
}

function refusal(
  code: ErrorCode,
  text: string,
  about: { id: RequestId | undefined; room: string | undefined },
): ErrorEnvelope {
  const { id, room } = about
  return { type: 'error', code, message: text, ...withId(id), ...(room !== undefined && { room }) }
}
