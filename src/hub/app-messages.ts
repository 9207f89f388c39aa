import { z } from 'zod'
import { APP_USER, userName } from '../auth/permissions.ts'
import type { ClusterStatus, HistoryLimits, Published } from '../bridge/bridge.ts'
import type { From } from '../protocol/envelope.ts'
import { isRoomName, traceparent as traceContext } from '../protocol/envelope.ts'
import { contentFault } from '../rules/content-fault.ts'
import type { Rooms } from './rooms.ts'

/** The hub is closing and its clients are gone. */
export class NobodyIsLeft extends Error {
  override name = 'NobodyIsLeft'

  constructor() {
    super('the hub is closing and its clients are gone: nobody is left to get it')
  }
}

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
  exclude: string | undefined
  once: { user: string; key: string } | undefined
  history: HistoryLimits | undefined
  traceparent?: string | undefined
}

/** What a publish by the app may say besides. */
export interface PublishOptions {
  /** From whom members see it. */
  user?: string
  /** False for what is delivered and forgotten. */
  keep?: boolean
  /** Makes the publish idempotent: the same key in the same room is published once in 5 minutes. */
  key?: string
  /** The client that must not get it. */
  exclude?: string
  /** The publish's place in a trace, as W3C Trace Context writes it; members see it where the room's rule says so. */
  traceparent?: string
}

const keyOfPublish = z.string().min(1).max(64)

/** Publishes the values of the app that the hub is part of; members see them from `user`. */
export class AppMessages {
  readonly #hub: AppMessagesContext

  constructor(hub: AppMessagesContext) {
    this.#hub = hub
  }

  /**
   * To a room, or to everybody when `room` is undefined. Rejects with TypeError for what is no room name, no user, no key,
   * no traceparent, has no JSON form or is refused by the room's rule, RangeError above `maxMessageBytes`, NobodyIsLeft when the
   * clients are gone with the close. Resolves when the bridge has taken it.
   */
  async publish(
    room: string | undefined,
    value: unknown,
    { user = APP_USER, keep = true, key, exclude, traceparent }: PublishOptions,
  ): Promise<Published> {
    if (room !== undefined && (typeof room !== 'string' || !isRoomName(room)))
      throw new TypeError('not a room name')
    if (!userName.safeParse(user).success) throw new TypeError('not a user: 1 to 256 characters')
    if (key !== undefined && !(keep && keyOfPublish.safeParse(key).success))
      throw new TypeError('not a key: 1 to 64 characters, of a message that is kept')
    if (traceparent !== undefined && !traceContext.safeParse(traceparent).success)
      throw new TypeError('not a traceparent')
    const content = JSON.stringify(value)
    if (content === undefined) throw new TypeError('the content has no JSON form')
    const { maxMessageBytes } = this.#hub.limits
    if (Buffer.byteLength(content) > maxMessageBytes)
      throw new RangeError(`the content is larger than ${maxMessageBytes} bytes`)
    const rule = room === undefined ? undefined : this.#hub.rooms.ruleOf(room)
    const fault = rule?.content && (await contentFault(rule.content, content))
    if (fault !== undefined) throw new TypeError(fault)
    const from = { client: this.#hub.node, user, app: true } as const
    const once = key === undefined ? undefined : { user: APP_USER, key }
    const history = keep ? rule?.history : undefined
    return this.send({ room, content, from, exclude, once, history, traceparent })
  }

  /**
   * Publishes what is checked already; a promise only where the bridge has to be waited for. Throws NobodyIsLeft, or
   * rejects with it, when the clients are gone with the close.
   */
  send(message: AppMessage): Published | Promise<Published> {
    const hub = this.#hub
    // A node that has let its clients go reaches those of others at most.
    const isLeft = hub.isDraining && hub.size === 0
    if (hub.isClosed || (isLeft && hub.cluster === undefined)) throw new NobodyIsLeft()
    const published = hub.publishText(message)
    return isLeft ? reached(published) : published
  }
}

/** What got no further than a node without clients has reached nobody. */
async function reached(publishing: Published | Promise<Published>): Promise<Published> {
  const published = await publishing
  if (published.scope === 'node') throw new NobodyIsLeft()
  return published
}
