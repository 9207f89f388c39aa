import { counter, gauge, inSeconds, labelled, type Reading } from '../metrics/readings.ts'
import { type EventName, eventNames } from './events.ts'
import type { Webhook } from './webhook.ts'
import type { Webhooks } from './webhooks.ts'

/** What the receivers together have to show: their addresses are no labels. */
export function webhookReadings({ all, times }: Webhooks): Reading[] {
  const sum = (of: (webhook: Webhook) => number) => all.reduce((total, webhook) => total + of(webhook), 0)
  const droppedOf = (name: EventName) => sum(({ queue }) => queue.dropped[name])
  return [
    counter(
      'webhook_events_sent_total',
      'Events that receivers of webhooks took',
      sum(({ sent }) => sent),
    ),
    counter(
      'webhook_failures_total',
      'Requests to receivers of webhooks that failed',
      sum((one) => one.failures),
    ),
    labelled(
      'webhook_events_dropped_total',
      'Events dropped because a queue was full, or they were refused for an hour',
      'type',
      Object.fromEntries(eventNames.map((name) => [name, droppedOf(name)])),
    ),
    inSeconds('webhook_seconds', 'How long requests to receivers of webhooks took', [times]),
    gauge(
      'webhook_queue_bytes',
      'Bytes of events that wait for receivers',
      sum(({ queue }) => queue.bytes),
    ),
  ]
}
