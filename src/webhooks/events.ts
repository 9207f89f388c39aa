import { randomBytes } from 'node:crypto'

/** What webhooks tell of. */
export const eventNames = [
  'client.connected',
  'client.disconnected',
  'user.entered',
  'user.left',
  'room.occupied',
  'room.vacated',
  'message',
] as const
export type EventName = (typeof eventNames)[number]

/** How a body is written: our own JSON, or CloudEvents in batches. */
export const webhookFormats = ['json', 'cloudevents'] as const
export type WebhookFormat = (typeof webhookFormats)[number]

/** One event; `id` is the same however often it is sent, `timeMs` Unix time, `node` who tells, `cause` why a client ended. */
export interface WebhookEvent {
  id: string
  type: EventName
  timeMs: number
  node: string
  client?: string
  room?: string
  user?: string
  cause?: string
  from?: { client: string; user: string; app?: boolean }
  scope?: string
  offset?: number
}

/** An id that no other event has. */
export const newEventId = () => `evt_${randomBytes(12).toString('base64url')}`

/** The JSON text of an event; `content`, a message's own JSON text, is put in as it stands. */
export function textOf(event: WebhookEvent, format: WebhookFormat, content?: string): string {
  const text = envelopeOf(event, format)
  if (content === undefined) return text
  // Behind the last field: of the event, or of its data, which is last.
  const end = format === 'json' ? '}' : '}}'
  return `${text.slice(0, -end.length)},"content":${content}${end}`
}

function envelopeOf(event: WebhookEvent, format: WebhookFormat): string {
  if (format === 'json') return JSON.stringify(event)
  const { id, type, timeMs, node, ...data } = event
  return JSON.stringify({
    specversion: '1.0',
    id,
    source: `/roomcast/${node}`,
    type: `roomcast.${type}`,
    time: new Date(timeMs).toISOString(),
    datacontenttype: 'application/json',
    data,
  })
}

/** The body of a request that tells of these events, and what its Content-Type is. */
export function bodyOf(
  texts: readonly string[],
  format: WebhookFormat,
): { body: string; contentType: string } {
  const all = `[${texts.join(',')}]`
  if (format === 'json') return { body: `{"events":${all}}`, contentType: 'application/json' }
  return { body: all, contentType: 'application/cloudevents-batch+json' }
}
