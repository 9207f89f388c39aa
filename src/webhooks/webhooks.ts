import type { Clock } from '../clock.ts'
import type { Distribution } from '../distribution.ts'
import type { Cause } from '../hub/cause.ts'
import type { Client } from '../hub/client.ts'
import type { ClientWatch } from '../hub/client-watch.ts'
import type { MessageWatch, PublishedMessage, RoomWatch } from '../hub/room-watch.ts'
import { type EventName, newEventId, textOf, type WebhookEvent, type WebhookFormat } from './events.ts'
import type { Webhook } from './webhook.ts'

export interface WebhooksOptions {
  webhooks: readonly Webhook[]
  /** How long their requests took, in ms. */
  times: Distribution
  events: readonly EventName[]
  format: WebhookFormat
  clock: Clock
}

/** Tells every receiver of this node's clients, and of users in rooms (docs/WEBHOOKS.md). */
export class Webhooks implements ClientWatch, RoomWatch, MessageWatch {
  readonly all: readonly Webhook[]
  readonly times: Distribution
  readonly #options: WebhooksOptions

  constructor(options: WebhooksOptions) {
    this.#options = options
    this.all = options.webhooks
    this.times = options.times
  }

  connected(node: string, { id: client, user }: Client): void {
    this.#tell('client.connected', node, { client, user })
  }

  disconnected(node: string, { id: client, user }: Client, cause: Cause): void {
    this.#tell('client.disconnected', node, { client, user, cause })
  }

  entered(node: string, room: string, user: string): void {
    this.#tell('user.entered', node, { room, user })
  }

  left(node: string, room: string, user: string): void {
    this.#tell('user.left', node, { room, user })
  }

  occupied(node: string, room: string): void {
    this.#tell('room.occupied', node, { room })
  }

  vacated(node: string, room: string): void {
    this.#tell('room.vacated', node, { room })
  }

  published(node: string, { room, content, from, published: { scope, offset } }: PublishedMessage): void {
    const place = offset === undefined ? { scope } : { scope, offset }
    this.#tell('message', node, { room, from, ...place }, content)
  }

  async close(graceMs: number): Promise<void> {
    await Promise.all(this.all.map((webhook) => webhook.close(graceMs)))
  }

  #tell(
    type: EventName,
    node: string,
    what: Omit<WebhookEvent, 'id' | 'type' | 'timeMs' | 'node'>,
    content?: string,
  ): void {
    const { events, format, clock } = this.#options
    if (!events.includes(type)) return
    const joined = textOf({ id: newEventId(), type, timeMs: clock.wallMs(), node, ...what }, format, content)
    // A copy: a part of a frame's text would hold all of that.
    const text = content === undefined ? joined : Buffer.from(joined).toString()
    for (const webhook of this.all) webhook.add(type, text)
  }
}
