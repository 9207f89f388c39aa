import { POSITION_EXTRA_TTL_MS, type Replay, type ReplayRequest } from './bridge.ts'
import type { RedisClient } from './redis-client.ts'
import { newEpoch } from './redis-epoch.ts'
import type { RedisKeys } from './redis-keys.ts'
import { BEGINNINGS_TTL_MS } from './redis-publish-call.ts'
import { replayScript, withScripts } from './redis-scripts.ts'

export interface ReadOptions {
  keys: RedisKeys
  /** A text that shares its slot with the channel. */
  beginningsTag(channel: string): string
}

/** Reads a room's history from its master. Rejects with what Redis says. */
export async function readHistory(
  client: RedisClient,
  room: string,
  { since, limit, history }: ReplayRequest,
  { keys, beginningsTag }: ReadOptions,
): Promise<Replay> {
  const beginnings = keys.beginnings(beginningsTag(keys.channel(room)))
  const names = [keys.messages(room), keys.position(room), beginnings]
  const ttlMs = history.ttlMs + POSITION_EXTRA_TTL_MS
  const args = [since?.epoch ?? '', since?.offset ?? 0, limit, newEpoch(), ttlMs, BEGINNINGS_TTL_MS]
  const reply = await withScripts(client, () => client.runForBuffers(replayScript, names, args))
  const [epoch, offset, isComplete, ...messages] = reply as [Buffer, number, number, ...Buffer[]]
  return {
    position: { epoch: epoch.toString(), offset: Number(offset) },
    isComplete: Number(isComplete) === 1,
    messages,
  }
}
