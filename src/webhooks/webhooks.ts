import type { Clock } from '../clock.ts'
import type { Cause } from '../hub/cause.ts'
import type { Client } from '../hub/client.ts'
import type { ClientWatch } from '../hub/client-watch.ts'
import { type EventName, newEventId, textOf, type WebhookFormat } from './events.ts'
import type { Webhook } from './webhook.ts'

export interface WebhooksOptions {
  webhooks: readonly Webhook[]
  events: readonly EventName[]
  format: WebhookFormat
  clock: Clock
}

/** Tells every receiver of this node's clients (docs/WEBHOOKS.md). */
export class Webhooks implements ClientWatch {
  readonly all: readonly Webhook[]
  readonly #options: WebhooksOptions

  constructor(options: WebhooksOptions) {
    this.#options = options
    this.all = options.webhooks
  }

  connected(node: string, client: Client): void {
    this.#tell('client.connected', node, client)
  }

  disconnected(node: string, client: Client, cause: Cause): void {
    this.#tell('client.disconnected', node, client, cause)
  }

  async close(graceMs: number): Promise<void> {
    await Promise.all(this.all.map((webhook) => webhook.close(graceMs)))
  }

  #tell(type: EventName, node: string, { id: client, user }: Client, cause?: Cause): void {
    const { events, format, clock } = this.#options
    if (!events.includes(type)) return
    const event = { id: newEventId(), type, timeMs: clock.wallMs(), node, client, user }
    const text = textOf(cause === undefined ? event : { ...event, cause }, format)
    for (const webhook of this.all) webhook.add(type, text)
  }
}
