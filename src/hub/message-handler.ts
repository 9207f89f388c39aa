import type { Published } from '../bridge/bridge.ts'
import type { Ack, ErrorEnvelope, MessageRequest } from '../protocol/envelope.ts'
import { contentFault } from '../rules/content-fault.ts'
import type { RoomRule } from '../rules/room-rules.ts'
import { type Answer, Pending, refusal } from './answers.ts'
import type { Client } from './client.ts'
import type { Hub } from './hub.ts'
import { RoomRates } from './room-rates.ts'

/** Publishes what a client sends, where its token and the room's rule allow it. */
export function message(hub: Hub, client: Client, request: MessageRequest): Answer | Pending {
  const { room } = request
  const rule = room === undefined ? undefined : hub.rooms.ruleOf(room)
  const refused = refusedBy(rule, client, request) ?? overRate(rule, hub, client, request, 'take')
  if (refused !== undefined) return refused
  return rule?.content === undefined
    ? publish(hub, client, request, rule)
    : checked(hub, client, request, rule, rule.content)
}

/** Why a client may not publish now, by its token and the room's rule; what it sends is not looked at. */
export function messageRefusal(hub: Hub, client: Client, request: MessageRequest): ErrorEnvelope | undefined {
  const { room } = request
  const rule = room === undefined ? undefined : hub.rooms.ruleOf(room)
  return refusedBy(rule, client, request) ?? overRate(rule, hub, client, request, 'waitMs')
}

function refusedBy(
  rule: RoomRule | undefined,
  { permissions, rooms }: Client,
  request: MessageRequest,
): ErrorEnvelope | undefined {
  const { room } = request
  if (rule === undefined || room === undefined)
    return permissions.broadcast ? undefined : refusal('forbidden', 'this token may not broadcast', request)
  if (rule.publish === 'server') return refusal('forbidden', 'only the server publishes here', request)
  if (rule.publish === 'members' && !rooms.has(room))
    return refusal('not_member', 'join the room first', request)
  if (!permissions.canPublish(room)) return refusal('forbidden', 'this token may not publish', request)
  return undefined
}

function overRate(
  rule: RoomRule | undefined,
  { clock, leftRates: left }: Hub,
  client: Client,
  request: MessageRequest,
  act: 'take' | 'waitMs',
): ErrorEnvelope | undefined {
  if (rule?.rate === undefined || request.room === undefined) return undefined
  const { user, identity } = client
  client.roomRates ??= new RoomRates(identity.isNameless ? undefined : { user, left })
  const retryAfterMs = client.roomRates[act](request.room, rule.rate, clock.steadyMs())
  if (retryAfterMs === 0) return undefined
  return { ...refusal('rate_limited', 'too many messages into this room', request), retryAfterMs }
}

/** Publishes what the rule's schema takes. */
function checked(
  hub: Hub,
  client: Client,
  request: MessageRequest,
  rule: RoomRule,
  schema: NonNullable<RoomRule['content']>,
): Answer | Pending {
  const fault = contentFault(schema, request.content)
  const proceed = (fault: string | undefined): Answer => {
    if (fault !== undefined) return refusal('bad_content', fault, request)
    // It may have been put out of the room meanwhile.
    return refusedBy(rule, client, request) ?? publish(hub, client, request, rule)
  }
  return fault instanceof Promise ? new Pending(fault.then((fault) => () => proceed(fault))) : proceed(fault)
}

function publish(
  hub: Hub,
  client: Client,
  { id, room, content, echo, key, keep, traceparent }: MessageRequest,
  rule: RoomRule | undefined,
): Answer {
  const published = hub.publishText({
    room,
    content,
    from: { client: client.id, user: client.user },
    exclude: echo === true ? undefined : client.id,
    once: key === undefined ? undefined : { user: client.keyOwner, key },
    history: keep === false ? undefined : rule?.history,
    traceparent,
  })
  const answer = ({ scope, offset, duplicate }: Published): Ack | undefined => {
    if (id === undefined) return undefined
    return {
      type: 'ack',
      id,
      ...(room !== undefined && { room }),
      ...(offset !== undefined && { offset }),
      scope,
      ...(duplicate && { duplicate }),
    }
  }
  return published instanceof Promise ? published.then(answer) : answer(published)
}
