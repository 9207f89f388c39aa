import type { Position } from '../protocol/envelope.ts'
import { type HistoryLimits, KEY_TTL_MS, POSITION_EXTRA_TTL_MS } from './bridge.ts'
import { newEpoch } from './redis-epoch.ts'
import type { RedisKeys } from './redis-keys.ts'
import type { PublishBatch } from './redis-outgoing.ts'
import { payloadHeader, unplacedPayload } from './redis-payload.ts'
import { publishScript, relayScript, type Script } from './redis-scripts.ts'

/** How long rooms begin in one epoch: less than any position begun in it lasts (POSITION_EXTRA_TTL_MS and more). */
export const BEGINNINGS_TTL_MS = POSITION_EXTRA_TTL_MS / 2

/** What a call says beside its messages. */
export interface PublishCallOptions {
  keys: RedisKeys
  node: string
  /** The tag of the slot's beginnings. */
  beginningsTag(channel: string): string
  /** By Redis's clock; later it takes nothing. */
  takenUntilMs: number
  publishCommand: string
}

/** A call of a script: its keys and arguments. */
export interface ScriptCall {
  script: Script
  keys: string[]
  args: (string | number | Buffer)[]
}

/** The call that publishes messages of one room: what is neither kept nor has a key is only passed on. */
export function publishCall(batch: PublishBatch, options: PublishCallOptions): ScriptCall {
  const isKept = batch.history !== undefined
  return isKept || batch.flights.some(({ publication }) => publication.once !== undefined)
    ? keepCall(batch, options)
    : relayCall(batch, options)
}

function relayCall({ room, flights }: PublishBatch, options: PublishCallOptions): ScriptCall {
  const channel = options.keys.channel(room)
  const payload = unplacedPayload(options.node, flights)
  const args = [channel, payload, Math.round(options.takenUntilMs), options.publishCommand]
  return { script: relayScript, keys: [channel], args }
}

function keepCall({ room, history, flights }: PublishBatch, options: PublishCallOptions): ScriptCall {
  const { keys } = options
  const { size, ttlMs, maxBytes } = history ?? nothing
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
    size,
    ttlMs,
    ttlMs + POSITION_EXTRA_TTL_MS,
    maxBytes,
    newEpoch(),
    KEY_TTL_MS,
    options.publishCommand,
    BEGINNINGS_TTL_MS,
  ]
  for (const { head, publication } of flights) {
    const { once } = publication
    args.push(head, once === undefined ? 0 : names.push(keys.once(room, once.user, once.key)))
  }
  return { script: publishScript, keys: names, args }
}

/** A broadcast keeps nothing. */
const nothing: HistoryLimits = { size: 0, ttlMs: 0, maxBytes: 0 }

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
