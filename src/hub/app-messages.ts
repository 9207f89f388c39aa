import { APP_USER, userName } from '../auth/permissions.ts'
import type { ClusterStatus, HistoryLimits, Published } from '../bridge/bridge.ts'
import type { From } from '../protocol/codec.ts'
import { isRoomName } from '../protocol/envelope.ts'
import { contentFault } from '../rules/content-fault.ts'
import type { Rooms } from './rooms.ts'

const NOBODY_IS_LEFT = 'the hub is closing and its clients are gone: nobody is left to get it'

/** What publishing for the app needs of its hub. */
export interface AppMessagesContext {
  readonly node: string
  readonly size: number
  readonly isDraining: boolean
  readonly isClosed: boolean
  readonly cluster: ClusterStatus | undefined
  readonly limits: { maxMessageBytes: number }
  readonly rooms: Rooms
  publishText(message: AppMessage): Published | Promise<Published>
}

interface AppMessage {
  room: string | undefined
  content: string
  from: From
  exclude: undefined
  once: undefined
  history: HistoryLimits | undefined
}

/** `user`: from whom members see it. `keep`: false for what is delivered and forgotten. */
export interface PublishOptions {
  user?: string
  keep?: boolean
}

/** Publishes the values of the app that the hub is part of; members see them from `user`. */
export class AppMessages {
  readonly #hub: AppMessagesContext

  constructor(hub: AppMessagesContext) {
    this.#hub = hub
  }

  /**
   * To a room, or to everybody when `room` is undefined. Rejects with TypeError for what is no room name, no user, has no
   * JSON form or is refused by the room's rule, RangeError above `maxMessageBytes`, Error when the clients are gone with
   * the close. Resolves when the bridge has taken it.
   */
  async publish(
    room: string | undefined,
    value: unknown,
    { user = APP_USER, keep = true }: PublishOptions,
  ): Promise<Published> {
    if (room !== undefined && (typeof room !== 'string' || !isRoomName(room)))
      throw new TypeError('not a room name')
    if (!userName.safeParse(user).success) throw new TypeError('not a user: 1 to 256 characters')
    const content = JSON.stringify(value)
    if (content === undefined) throw new TypeError('the content has no JSON form')
    const { maxMessageBytes } = this.#hub.limits
    if (Buffer.byteLength(content) > maxMessageBytes)
      throw new RangeError(`the content is larger than ${maxMessageBytes} bytes`)
    const rule = room === undefined ? undefined : this.#hub.rooms.ruleOf(room)
    const fault = rule?.content && (await contentFault(rule.content, content))
    if (fault !== undefined) throw new TypeError(fault)
    const from = { client: this.#hub.node, user, app: true } as const
    return this.#publishText({ room, content, from, history: keep ? rule?.history : undefined })
  }

  async #publishText(message: Omit<AppMessage, 'exclude' | 'once'>): Promise<Published> {
    const hub = this.#hub
    // A node that has let its clients go reaches those of others at most.
    const isLeft = hub.isDraining && hub.size === 0
    if (hub.isClosed || (isLeft && hub.cluster === undefined)) throw new Error(NOBODY_IS_LEFT)
    const published = await hub.publishText({ ...message, exclude: undefined, once: undefined })
    if (isLeft && published.scope === 'node') throw new Error(NOBODY_IS_LEFT)
    return published
  }
}
