import type { Position } from '../protocol/envelope.ts'
import { type HistoryLimits, KEY_TTL_MS, POSITION_EXTRA_TTL_MS } from './bridge.ts'
import { newEpoch } from './redis-epoch.ts'
import type { RedisKeys } from './redis-keys.ts'
import type { PublishBatch } from './redis-outgoing.ts'
import { payloadHeader } from './redis-payload.ts'

/** How long rooms begin in one epoch: less than any position begun in it lasts (POSITION_EXTRA_TTL_MS and more). */
export const BEGINNINGS_TTL_MS = POSITION_EXTRA_TTL_MS / 2

/** What a call of the publish script says beside its messages. */
export interface PublishCallOptions extends HistoryLimits {
  keys: RedisKeys
  node: string
  /** The tag of the slot's beginnings. */
  beginningsTag(channel: string): string
  /** By Redis's clock; later it takes nothing. */
  takenUntilMs: number
  publishCommand: string
}

/** The keys and arguments of a call of the publish script, for messages of one room. */
export function publishCall({ room, flights }: PublishBatch, options: PublishCallOptions) {
  const { keys, historyTtlMs } = options
  const channel = keys.channel(room)
  // Redis Cluster wants a script's keys in its channel's slot, those too that stay unused.
  const names =
    room === undefined
      ? [channel, channel, channel]
      : [keys.messages(room), keys.position(room), keys.beginnings(options.beginningsTag(channel))]
  const args: (string | number | Buffer)[] = [
    channel,
    payloadHeader(options.node, flights),
    Math.round(options.takenUntilMs),
    room === undefined ? 0 : options.historySize,
    historyTtlMs,
    historyTtlMs + POSITION_EXTRA_TTL_MS,
    options.historyMaxBytes,
    newEpoch(),
    KEY_TTL_MS,
    options.publishCommand,
    BEGINNINGS_TTL_MS,
  ]
  for (const { head, publication } of flights) {
    const { once } = publication
    args.push(head, once === undefined ? 0 : names.push(keys.once(room, once.user, once.key)))
  }
  return { keys: names, args }
}

/** What came of one message: `offset` is its own, or of a duplicate the first one's. */
export interface Landing {
  position: Position | undefined
  isDuplicate: boolean
  offset: number | undefined
}

/**
 * Reads the script's reply for so many messages: the room's epoch and the offset of the first that is new, `-` without
 * history; then of each repeat its index and its first offset.
 */
export function readPublishReply(count: number, [epoch, first, ...rest]: (string | number)[]): Landing[] {
  const repeats = new Map<number, string | number>()
  for (let i = 0; i < rest.length; i += 2) repeats.set(Number(rest[i]), rest[i + 1] as string | number)
  let next = first === '-' ? undefined : Number(first)
  return Array.from({ length: count }, (_, index) => {
    const original = repeats.get(index)
    if (original !== undefined) {
      const offset = original === '-' ? undefined : Number(original)
      return { position: undefined, isDuplicate: true, offset }
    }
    if (next === undefined) return { position: undefined, isDuplicate: false, offset: undefined }
    const offset = next++
    return { position: { epoch: String(epoch), offset }, isDuplicate: false, offset }
  })
}
