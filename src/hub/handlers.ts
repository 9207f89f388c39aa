import type { Replay } from '../bridge/bridge.ts'
import { historyText } from '../protocol/codec.ts'
import type {
  ErrorEnvelope,
  HistoryRequest,
  Joined,
  JoinRequest,
  LeaveRequest,
  PingRequest,
  PresenceRequest,
  Request,
  RequestType,
} from '../protocol/envelope.ts'
import { type Answer, type Pending, refusal, withId } from './answers.ts'
import { call } from './call-handler.ts'
import type { Client } from './client.ts'
import type { Hub } from './hub.ts'
import { message } from './message-handler.ts'
import { refresh } from './refresh.ts'

/** Bytes of messages in one `history`: with its envelope a frame that clients take whose limit is 1 MiB, as many have. */
const HISTORY_BYTES = 768 * 1024

type Handler<R extends Request> = (hub: Hub, client: Client, request: R) => Answer | Pending

/** One function an inbound type. */
const handlers: { [T in RequestType]: Handler<Extract<Request, { type: T }>> } = {
  join,
  leave,
  message,
  history,
  refresh,
  ping,
  call,
  presence,
}

/** Carries out one request; the type was validated by the codec, so it is a key of the table. */
export function handle(hub: Hub, client: Client, request: Request): Answer | Pending {
  return (handlers[request.type] as Handler<Request>)(hub, client, request)
}

/** Why a client may not join, by its token and the limits. */
export function joinRefusal(hub: Hub, client: Client, { id, room }: JoinRequest): ErrorEnvelope | undefined {
  if (!client.permissions.canJoin(room)) return refusal('forbidden', 'this token may not join', { id, room })
  if (!client.rooms.has(room) && client.rooms.size >= hub.limits.maxRoomsPerClient) {
    return refusal('room_limit', `at most ${hub.limits.maxRoomsPerClient} rooms a client`, { id, room })
  }
  return undefined
}

function join(hub: Hub, client: Client, request: JoinRequest): Answer {
  const refused = joinRefusal(hub, client, request)
  if (refused !== undefined) return refused
  const { id, room, since, last, presence } = request
  const joined = hub.join(
    client,
    room,
    { since, last },
    ({ scope, position, recovered, missed }): Joined => ({
      type: 'joined',
      ...withId(id),
      room,
      ...position,
      ...(since !== undefined && { recovered }),
      ...((since !== undefined || last !== undefined) && { missed }),
      ...(scope === 'node' && { scope }),
    }),
    presence,
  )
  const answer = (isJoined: boolean) =>
    isJoined ? undefined : refusal('unavailable', 'try again', { id, room })
  return joined instanceof Promise ? joined.then(answer) : answer(joined)
}

function leave(hub: Hub, client: Client, { id, room }: LeaveRequest): Answer {
  hub.leave(client, room)
  return { type: 'left', ...withId(id), room }
}

function history(hub: Hub, client: Client, { id, room, since, limit }: HistoryRequest): Answer {
  if (!client.rooms.has(room)) return refusal('not_member', 'join the room first', { id, room })
  const answer = ({ position, messages }: Replay) =>
    position === undefined
      ? refusal('unavailable', 'no history at present', { id, room })
      : historyText({ id, room }, position, fitting(messages, since === undefined))
  const replay = hub.replay(room, since, limit)
  return replay instanceof Promise ? replay.then(answer) : answer(replay)
}

/** Carried out alone, and sent at once: behind later changes it would be out of date. */
function presence(hub: Hub, client: Client, { id, room }: PresenceRequest): Answer {
  if (!client.rooms.has(room)) return refusal('not_member', 'join the room first', { id, room })
  const presence = hub.rooms.get(room)?.presence
  if (presence === undefined) return refusal('unavailable', 'no presence in this room', { id, room })
  const answer = (): undefined => {
    client.reply(presence.text(id))
  }
  return presence.ready === undefined ? answer() : presence.ready.then(answer)
}

/** As many as fit into one answer, and one in any case: the newest, or else the first. */
function fitting(messages: Replay['messages'], areNewest: boolean): Replay['messages'] {
  const ordered = areNewest ? messages.toReversed() : messages
  let bytes = 0
  // A comma each.
  const end = ordered.findIndex((message) => {
    bytes += Buffer.byteLength(message) + 1
    return bytes > HISTORY_BYTES
  })
  if (end < 0) return messages
  const count = Math.max(1, end)
  return areNewest ? messages.slice(-count) : messages.slice(0, count)
}

function ping(_hub: Hub, _client: Client, { id }: PingRequest): Answer {
  return { type: 'pong', ...withId(id) }
}
